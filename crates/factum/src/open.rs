//! Opening the store that a URL names: the only place that knows concrete stores.
//!
//! Each store but the one in memory is a feature, so that a program compiles only what it uses.

use factum_core::{AnyStore, MemoryStore};
use std::path::PathBuf;

/// Why no store was opened. Nothing was changed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no store. Correct it.
    #[error(
        "`{url}` names no store: write memory:, file:./data, sqlite:./app.db, \
         postgres://user@host/database, factum://host:2113, or kurrentdb://host:2113?tls=false"
    )]
    UnknownScheme {
        /// As given.
        url: String,
    },
    /// `file:` without a folder. Name one.
    #[error("`{url}` names no folder: write file:./data, or file:/var/lib/factum")]
    NoFolder {
        /// As given.
        url: String,
    },
    /// `sqlite:` without a file. Name one.
    #[error("`{url}` names no file: write sqlite:./app.db, or sqlite::memory:")]
    NoFile {
        /// As given.
        url: String,
    },
    /// This program was built without that store. Build it with the feature.
    #[error("`{scheme}` needs the feature `{feature}` of the crate `factum`, and it is not on")]
    NotBuiltIn {
        /// The beginning of the URL.
        scheme: &'static str,
        /// What to switch on.
        feature: &'static str,
    },
    /// The folder could not be opened: held by another process, of a newer format, or the disk
    /// refuses. The source says which, and what to do.
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    Embedded(#[from] factum_log::OpenError),
    /// The file could not be opened: locked by another process, of another format, or no database.
    /// The source says which, and what to do.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] factum_sqlite::OpenError),
    /// The database could not be used: out of reach, a read replica, settings that could lose what
    /// is acknowledged. The source says which, and what to do.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] factum_postgres::OpenError),
    /// The server could not be reached, or does not speak the protocol.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Client(#[from] factum_client::ConnectError),
}

/// Opens the store that a URL names; see the table in the crate's documentation.
///
/// `factum://`, `kurrentdb://` and `postgres://` need a `tokio` runtime, and live on the one in
/// which they were opened. `memory:` is a new, empty store each time, and so is `sqlite::memory:`.
///
/// # Errors
///
/// [`OpenError`] says what is wrong with the URL, the folder or the server, and what to do.
pub async fn open(url: &str) -> Result<AnyStore, OpenError> {
    let unknown = || OpenError::UnknownScheme { url: url.to_owned() };
    let (scheme, _) = url.split_once(':').ok_or_else(unknown)?;
    match scheme {
        "memory" => Ok(AnyStore::new(MemoryStore::new())),
        "file" => embedded(folder(url)?),
        "sqlite" => sqlite(url).await,
        "postgres" | "postgresql" => postgres(url).await,
        "factum" => factum(url).await,
        // What of these schemes is understood, the client says.
        "kurrentdb" | "kurrent" | "kdb" | "esdb" => kurrent(url).await,
        "kurrentdb+discover" | "kurrent+discover" | "kdb+discover" | "esdb+discover" => {
            kurrent(url).await
        }
        _ => Err(unknown()),
    }
}

/// The folder that a `file:` URL names: everything after `file:`, or after `file://`.
pub fn folder(url: &str) -> Result<PathBuf, OpenError> {
    let unknown = || OpenError::UnknownScheme { url: url.to_owned() };
    let path = url.strip_prefix("file:").ok_or_else(unknown)?;
    match path.strip_prefix("//").unwrap_or(path) {
        "" => Err(OpenError::NoFolder { url: url.to_owned() }),
        path => Ok(path.into()),
    }
}

#[cfg(feature = "embedded")]
fn embedded(dir: PathBuf) -> Result<AnyStore, OpenError> {
    let store = factum_log::LogStore::open(&dir, factum_log::Options::default())?;
    Ok(AnyStore::new(store))
}

#[cfg(not(feature = "embedded"))]
fn embedded(_dir: PathBuf) -> Result<AnyStore, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "file:", feature: "embedded" })
}

/// The file is everything after `sqlite:`, or after `sqlite://`.
#[cfg(feature = "sqlite")]
async fn sqlite(url: &str) -> Result<AnyStore, OpenError> {
    use factum_sqlite::{Options, SqliteStore};
    let path = url.strip_prefix("sqlite:").unwrap_or_default();
    let store = match path.strip_prefix("//").unwrap_or(path) {
        "" => return Err(OpenError::NoFile { url: url.to_owned() }),
        ":memory:" => SqliteStore::open_in_memory(Options::default()).await?,
        path => SqliteStore::open(path, Options::default()).await?,
    };
    Ok(AnyStore::new(store))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_url: &str) -> Result<AnyStore, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "sqlite:", feature: "sqlite" })
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<AnyStore, OpenError> {
    Ok(AnyStore::new(factum_postgres::PostgresStore::connect(url).await?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_url: &str) -> Result<AnyStore, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "postgres://", feature: "postgres" })
}

#[cfg(feature = "client")]
async fn factum(url: &str) -> Result<AnyStore, OpenError> {
    Ok(AnyStore::new(factum_client::FactumClient::connect(url).await?))
}

#[cfg(not(feature = "client"))]
async fn factum(_url: &str) -> Result<AnyStore, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "factum://", feature: "client" })
}

#[cfg(feature = "client")]
async fn kurrent(url: &str) -> Result<AnyStore, OpenError> {
    Ok(AnyStore::new(factum_client::KurrentClient::connect(url).await?))
}

#[cfg(not(feature = "client"))]
async fn kurrent(_url: &str) -> Result<AnyStore, OpenError> {
    Err(OpenError::NotBuiltIn { scheme: "kurrentdb://", feature: "client" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::blocking;

    #[test]
    fn a_url_names_a_store_or_the_error_says_what_would() {
        assert!(blocking::open("memory:").is_ok());
        for url in ["", "data", "./data", "http://host", "file:", "file://"] {
            let error = blocking::open(url).err().unwrap().to_string();
            assert!(error.contains("write "), "{url}: {error}");
        }
    }

    #[test]
    fn a_folder_is_what_follows() {
        for (url, path) in [
            ("file:./data", "./data"),
            ("file:data", "data"),
            ("file:/var/data", "/var/data"),
            ("file:///var/data", "/var/data"),
        ] {
            assert_eq!(folder(url).unwrap(), PathBuf::from(path));
        }
    }
}
