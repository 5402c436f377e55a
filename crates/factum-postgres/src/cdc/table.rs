//! Names of tables, slots and publications: as people write them, and quoted for SQL.

use super::CdcError;
use std::{fmt, str::FromStr};

/// The longest name that PostgreSQL has, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A table, in its schema.
///
/// ```
/// use factum_postgres::cdc::TableName;
/// let table: TableName = "shop.orders".parse()?;
/// assert_eq!((table.schema(), table.name()), ("shop", "orders"));
/// assert_eq!("orders".parse::<TableName>()?.schema(), "public");
/// # Ok::<(), factum_postgres::cdc::CdcError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableName {
    schema: String,
    name: String,
}

impl TableName {
    /// A table of a schema, named as they are: not quoted, and not folded to small letters.
    ///
    /// # Errors
    ///
    /// [`CdcError::Name`].
    pub fn new(schema: &str, name: &str) -> Result<Self, CdcError> {
        for part in [schema, name] {
            let refused = |why| CdcError::Name { what: "table", name: part.to_owned(), why };
            if part.is_empty() || part.len() > NAME_BYTES_MAX {
                return Err(refused("it has 1 to 63 bytes"));
            }
            if part.contains('\0') {
                return Err(refused("it holds a NUL character"));
            }
        }
        Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
    }

    /// Its schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Its name in the schema.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// `table`, in the schema `public`, or `schema.table`.
impl FromStr for TableName {
    type Err = CdcError;

    fn from_str(text: &str) -> Result<Self, CdcError> {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        Self::new(schema, name)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A name of SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Refuses what the server, or the list of publications on the wire, does not take.
pub(crate) fn checked(what: &'static str, name: &str) -> Result<(), CdcError> {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let why = "it has 1 to 63 small letters, digits and underscores";
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_valid) {
        true => Ok(()),
        false => Err(CdcError::Name { what, name: name.to_owned(), why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_quoted() {
        let table = TableName::new("a", "b\"c").unwrap();
        assert_eq!(table.quoted(), r#""a"."b""c""#);
        assert!(matches!("".parse::<TableName>(), Err(CdcError::Name { what: "table", .. })));
        assert!(checked("slot", "factum_outbox_1").is_ok());
        for bad in ["", "Outbox", "a-b", "a'b", &"a".repeat(64)] {
            assert!(matches!(checked("slot", bad), Err(CdcError::Name { .. })), "{bad}");
        }
    }
}
