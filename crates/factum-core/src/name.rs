//! Names: streams, event types and tags, and what makes a valid one.
//!
//! A name is UTF-8, 1 to [`NAME_BYTES_MAX`] bytes, without NUL. Everything else is allowed: names
//! are opaque to the store, never paths. Cloning one is a reference count.

use std::{fmt, sync::Arc};

/// The longest name, in bytes of UTF-8: stream names, event types and tags alike.
pub const NAME_BYTES_MAX: usize = 1024;

/// A name that no store takes. The caller has to choose another one.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidName {
    /// The name has no character.
    #[error("the {what} is empty: a {what} has 1 to {NAME_BYTES_MAX} bytes")]
    Empty {
        /// "stream name", "event type" or "tag".
        what: &'static str,
    },
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("the {what} has {bytes} bytes: at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// "stream name", "event type" or "tag".
        what: &'static str,
        /// How long it is, in bytes.
        bytes: usize,
    },
    /// The name holds a NUL character.
    #[error("the {what} holds a NUL character at byte {at}: leave it out")]
    Nul {
        /// "stream name", "event type" or "tag".
        what: &'static str,
        /// Where the first one stands, in bytes.
        at: usize,
    },
    /// `$$` alone, or a metadata stream of a metadata stream (`$$$$…`).
    #[error("{name:?} is not a stream: a metadata stream is `$$` and the name of its stream")]
    NotAStream {
        /// The name as given.
        name: String,
    },
}

fn checked(what: &'static str, name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty { what });
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(InvalidName::TooLong { what, bytes: name.len() });
    }
    match name.find('\0') {
        Some(at) => Err(InvalidName::Nul { what, at }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether both are the same allocation: equal, and known to be without comparing.
            #[must_use]
            pub fn ptr_eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }
    };
}

name!(
    /// The name of a stream, by convention `category-id`.
    ///
    /// Names that begin with `$` belong to the system; `$$NAME` holds the metadata of `NAME`.
    ///
    /// ```
    /// use factum_core::StreamName;
    /// let order = StreamName::new("order-123")?;
    /// assert_eq!(order.category(), "order");
    /// assert_eq!(order.metadata_stream().as_str(), "$$order-123");
    /// # Ok::<(), factum_core::InvalidName>(())
    /// ```
    StreamName,
    "stream name"
);
name!(
    /// The pinned name of what happened, in the past tense: `order.placed`.
    EventType,
    "event type"
);
name!(
    /// An opaque mark on an event, indexed for queries: by convention `key:value`.
    Tag,
    "tag"
);

impl StreamName {
    /// Checks the name; fails where [`InvalidName`] says.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        // `$$NAME` of the longest name is a name too.
        checked(
            "stream name",
            name.strip_prefix("$$").filter(|of| !of.is_empty()).unwrap_or(name),
        )?;
        if name == "$$" || name.starts_with("$$$$") {
            return Err(InvalidName::NotAStream { name: name.to_owned() });
        }
        Ok(Self(name.into()))
    }

    /// What stands before the first `-`, or the whole name.
    #[must_use]
    pub fn category(&self) -> &str {
        category_of(&self.0)
    }

    /// Whether this is a `$$NAME`, the metadata of another stream.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        self.0.starts_with("$$")
    }

    /// Whether the name belongs to the system (`$…`).
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The stream that holds this stream's metadata: `$$NAME`.
    ///
    /// It may be two bytes longer than a name of the user's.
    #[must_use]
    pub fn metadata_stream(&self) -> Self {
        Self(format!("$${}", self.0).into())
    }

    /// The stream whose metadata this stream holds, if it holds one's.
    #[must_use]
    pub fn metadata_of(&self) -> Option<Self> {
        self.0.strip_prefix("$$").map(|name| Self(name.into()))
    }

    /// A name that a store has checked before: read back from its own log.
    #[must_use]
    pub fn trusted(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl EventType {
    /// Checks the name; fails where [`InvalidName`] says.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        checked("event type", name).map(|()| Self(name.into()))
    }

    /// A name that a store has checked before: read back from its own log.
    #[must_use]
    pub fn trusted(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl Tag {
    /// Checks the name; fails where [`InvalidName`] says.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        checked("tag", name).map(|()| Self(name.into()))
    }

    /// A name that a store has checked before: read back from its own log.
    #[must_use]
    pub fn trusted(name: Arc<str>) -> Self {
        Self(name)
    }
}

/// What stands before the first `-` of a stream's name, or the whole name.
#[must_use]
pub fn category_of(stream: &str) -> &str {
    stream.split_once('-').map_or(stream, |(category, _)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_1024_bytes_and_no_nul() {
        for good in ["a", "/", "..", "$", "$$a", "$$$a", "-", "ü", &"x".repeat(1024)] {
            assert_eq!(StreamName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(StreamName::new(""), Err(InvalidName::Empty { what: "stream name" }));
        let longest = format!("$${}", "x".repeat(1024));
        assert!(StreamName::new(&longest).is_ok() && StreamName::new(&(longest + "x")).is_err());
        let long = "x".repeat(1025);
        assert_eq!(Tag::new(&long), Err(InvalidName::TooLong { what: "tag", bytes: 1025 }));
        assert_eq!(EventType::new("a\0"), Err(InvalidName::Nul { what: "event type", at: 1 }));
    }

    #[test]
    fn metadata_of_metadata_is_not_a_stream() {
        for bad in ["$$", "$$$$a"] {
            assert_eq!(StreamName::new(bad), Err(InvalidName::NotAStream { name: bad.into() }));
        }
    }

    #[test]
    fn a_category_ends_at_the_first_dash() {
        for (stream, category) in [("a-b-c", "a"), ("a", "a"), ("-a", ""), ("$ce-x", "$ce")] {
            assert_eq!(StreamName::new(stream).unwrap().category(), category);
        }
    }
}
