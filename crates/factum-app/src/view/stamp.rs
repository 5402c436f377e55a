//! Version stamps of rows, for who compares: a cache, a browser, an editor.

use crate::projection::Projection;
use factum_core::Position;

/// A row, and which version of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamped<P> {
    /// The row.
    pub value: P,
    /// Its key.
    pub key: String,
    /// The position of the event that made it so.
    pub at: Position,
    /// Everything up to here is in it.
    pub through: Position,
    pub(crate) version: u32,
}

impl<P: Projection> Stamped<P> {
    /// As the value of an HTTP header `ETag` (RFC 9110): another row has another.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.version, self.at)
    }

    /// Whether a header `If-None-Match` or `If-Match` names this version, or any (`*`).
    #[must_use]
    pub fn is_named(&self, header: &str) -> bool {
        let own = self.etag();
        let mut named = header.split(',').map(str::trim);
        named.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == own)
    }
}
