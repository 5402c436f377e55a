//! What somebody has seen of several services, to be handed from one to the next: whoever has it
//! sees at least that much everywhere.

use factum_core::Position;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// How many services a token names at most.
const SERVICES_MAX: usize = 64;
/// How long the name of one is at most, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What was seen of each service, as the position of its store. Sent as the value of a header:
/// `orders=12,billing=7`.
///
/// ```
/// use factum_app::{Position, view::Token};
/// let mut token: Token = "orders=12,billing=7".parse()?;
/// token.merge(&"billing=9,mail=1".parse()?);
/// assert_eq!(token.to_string(), "billing=9,mail=1,orders=12");
/// assert_eq!(token.get("orders"), Some(Position(12)));
/// # Ok::<(), factum_app::view::InvalidToken>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Token(BTreeMap<String, Position>);

/// What is no token. Drop it: without one an answer may be older.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("{part:?} is no part of a token: it is `service=position`, 64 of them at most")]
pub struct InvalidToken {
    /// What is wrong.
    pub part: String,
}

impl Token {
    /// The name of the header that carries it.
    pub const HEADER: &'static str = "consistency-token";

    /// Nothing was seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This much was seen of a service, too.
    ///
    /// # Errors
    ///
    /// The name is empty, longer than 128 bytes, or has other characters than letters, digits,
    /// `-`, `_` and `.`; or there are 64 others.
    pub fn see(&mut self, service: &str, seen: impl Into<Position>) -> Result<(), InvalidToken> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = !service.is_empty() && service.len() <= NAME_BYTES_MAX;
        let has_room = self.0.len() < SERVICES_MAX || self.0.contains_key(service);
        if !(fits && has_room && service.bytes().all(is_name)) {
            return Err(InvalidToken { part: service.into() });
        }
        self.raise(service, seen.into());
        Ok(())
    }

    fn raise(&mut self, service: &str, seen: Position) {
        let known = self.0.entry(service.to_owned()).or_default();
        *known = seen.max(*known);
    }

    /// What was seen of a service.
    #[must_use]
    pub fn get(&self, service: &str) -> Option<Position> {
        self.0.get(service).copied()
    }

    /// What either has seen. Where that names too many services, the rest of `other` is left out.
    pub fn merge(&mut self, other: &Self) {
        for (service, seen) in &other.0 {
            if self.0.len() < SERVICES_MAX || self.0.contains_key(service) {
                self.raise(service, *seen);
            }
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (service, seen)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{service}={seen}")?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(header: &str) -> Result<Self, InvalidToken> {
        let mut token = Self::new();
        for part in header.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let invalid = || InvalidToken { part: part.chars().take(NAME_BYTES_MAX).collect() };
            let (service, position) = part.split_once('=').ok_or_else(invalid)?;
            let position = position.parse().map_err(|_| invalid())?;
            token.see(service, Position(position)).map_err(|_| invalid())?;
        }
        Ok(token)
    }
}
