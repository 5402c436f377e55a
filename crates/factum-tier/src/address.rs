//! `s3://bucket/prefix?region=…&endpoint=…`: what it names, and what is wrong with it. Pure.

use url::Url;

/// What is wrong with the URL of an object storage.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL of an object storage.
    #[error("`{url}` names no object storage: write s3://bucket/prefix")]
    NoStorage {
        /// As given.
        url: String,
    },
    /// It has a name or a password in it, which would be written into the folder.
    #[error(
        "the URL of an object storage has no secrets in it: give AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY in the environment"
    )]
    Secrets,
    /// It says something that is not understood.
    #[error("`{key}` is nothing that the URL of an object storage says: region, endpoint")]
    Unknown {
        /// What it says.
        key: String,
    },
}

/// A bucket, and what all names in it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        let none = || AddressError::NoStorage { url: text.to_owned() };
        let url = Url::parse(text).map_err(|_| none())?;
        if url.scheme() != "s3" {
            return Err(none());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Secrets);
        }
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or_else(none)?;
        let prefix = url.path().trim_matches('/').to_owned();
        let (bucket, region, endpoint) = (bucket.to_owned(), None, None);
        let mut address = Self { bucket, prefix, region, endpoint };
        for (key, value) in url.query_pairs() {
            match &*key {
                "region" => address.region = Some(value.into_owned()),
                "endpoint" => address.endpoint = Some(value.into_owned()),
                _ => return Err(AddressError::Unknown { key: key.into_owned() }),
            }
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_bucket_prefix_region_and_endpoint() {
        let address = Address::parse("s3://b/a/c/?region=eu&endpoint=http://127.0.0.1:9").unwrap();
        let (region, endpoint) = (Some("eu".to_owned()), Some("http://127.0.0.1:9".to_owned()));
        let (bucket, prefix) = ("b".to_owned(), "a/c".to_owned());
        assert_eq!(address, Address { bucket, prefix, region, endpoint });
        assert_eq!(Address::parse("s3://b").unwrap().prefix, "");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for url in ["", "bucket", "http://b/x", "s3:///x", "file:./x"] {
            assert!(matches!(Address::parse(url), Err(AddressError::NoStorage { .. })), "{url}");
        }
        assert_eq!(Address::parse("s3://id:key@b/x"), Err(AddressError::Secrets));
        let unknown = Address::parse("s3://b/x?key=1");
        assert_eq!(unknown, Err(AddressError::Unknown { key: "key".into() }));
    }
}
