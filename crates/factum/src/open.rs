//! Opening the store that a URL names: the only place that knows concrete stores.

use factum_core::{AnyStore, MemoryStore};

/// Why no store was opened.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no store.
    #[error(
        "`{url}` names no store: write memory:, file:./data, factum://host:2113, or kurrentdb://host:2113?tls=false"
    )]
    UnknownScheme {
        /// As given.
        url: String,
    },
}

/// Opens the store that a URL names.
pub async fn open(url: &str) -> Result<AnyStore, OpenError> {
    match url {
        "memory:" => Ok(AnyStore::new(MemoryStore::new())),
        _ => Err(OpenError::UnknownScheme { url: url.to_owned() }),
    }
}
