//! The messages of `pgoutput`, version 1 of its protocol, as far as they tell of changes:
//! <https://www.postgresql.org/docs/15/protocol-logicalrep-message-formats.html>.
//!
//! Pure, and apart from the connection. Where transactions begin and end is told by the library for
//! the wire. What must hold: bytes that are not understood are an error, never a change by half.

use super::CdcError;
use bytes::{Buf, Bytes};

/// A table as it was when what follows was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Relation {
    /// Its number in the database.
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The number of its type.
    pub(crate) type_oid: u32,
    /// Part of the replica identity: of the primary key, unless the table says otherwise.
    pub(crate) is_key: bool,
}

/// What a column holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Null,
    /// It lies outside the row, and was not changed, so that it was not written again.
    Unchanged,
    /// As its type writes it.
    Text(String),
}

/// One value a column, in their order.
pub(crate) type Tuple = Vec<Value>;

/// What is known of a row as it was before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Before {
    /// Nothing: the key has not changed, and no more is kept.
    Unknown,
    /// Its key; the other columns are null here.
    Key(Tuple),
    /// All of it.
    Row(Tuple),
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    Relation(Relation),
    Insert {
        table: u32,
        after: Tuple,
    },
    Update {
        table: u32,
        before: Before,
        after: Tuple,
    },
    Delete {
        table: u32,
        before: Before,
    },
    Truncate {
        tables: Vec<u32>,
    },
    /// A type of the user's, the origin of a transaction: no change.
    Other,
}

/// Understands a message.
pub(crate) fn decode(bytes: Bytes) -> Result<Message, CdcError> {
    let mut reader = Reader(bytes);
    let message = message(&mut reader)?;
    match reader.0.has_remaining() {
        false => Ok(message),
        true => Err(undecodable("bytes are left over")),
    }
}

fn message(reader: &mut Reader) -> Result<Message, CdcError> {
    Ok(match reader.byte()? {
        b'R' => Message::Relation(relation(reader)?),
        b'I' => {
            let table = reader.number()?;
            Message::Insert { table, after: expect(reader, b'N')? }
        }
        b'U' => {
            let table = reader.number()?;
            let (before, kind) = before(reader)?;
            match kind {
                Some(b'N') | None => {}
                Some(kind) => return Err(unknown(kind)),
            }
            let after = if kind.is_some() { tuple(reader)? } else { expect(reader, b'N')? };
            Message::Update { table, before, after }
        }
        b'D' => {
            let table = reader.number()?;
            match before(reader)? {
                (before, None) => Message::Delete { table, before },
                (_, Some(kind)) => return Err(unknown(kind)),
            }
        }
        b'T' => truncate(reader)?,
        b'Y' | b'O' => {
            reader.0.clear();
            Message::Other
        }
        kind => return Err(unknown(kind)),
    })
}

fn relation(reader: &mut Reader) -> Result<Relation, CdcError> {
    let oid = reader.number()?;
    let schema = match reader.text()? {
        // So it is sent.
        schema if schema.is_empty() => "pg_catalog".to_owned(),
        schema => schema,
    };
    let name = reader.text()?;
    let _identity = reader.byte()?;
    let columns = (0..reader.count()?).map(|_| {
        let is_key = reader.byte()? & 1 == 1;
        let (name, type_oid) = (reader.text()?, reader.number()?);
        let _modifier = reader.number()?;
        Ok(Column { name, type_oid, is_key })
    });
    let columns = columns.collect::<Result<_, CdcError>>()?;
    Ok(Relation { oid, schema, name, columns })
}

/// The row before, where there is one; otherwise the mark that was read in its place.
fn before(reader: &mut Reader) -> Result<(Before, Option<u8>), CdcError> {
    Ok(match reader.byte()? {
        b'K' => (Before::Key(tuple(reader)?), None),
        b'O' => (Before::Row(tuple(reader)?), None),
        kind => (Before::Unknown, Some(kind)),
    })
}

fn expect(reader: &mut Reader, kind: u8) -> Result<Tuple, CdcError> {
    match reader.byte()? {
        found if found == kind => tuple(reader),
        found => Err(unknown(found)),
    }
}

fn tuple(reader: &mut Reader) -> Result<Tuple, CdcError> {
    let values = (0..reader.count()?).map(|_| {
        Ok(match reader.byte()? {
            b'n' => Value::Null,
            b'u' => Value::Unchanged,
            b't' => {
                let length = reader.number()? as usize;
                Value::Text(reader.utf8(length)?)
            }
            kind => return Err(unknown(kind)),
        })
    });
    values.collect()
}

fn truncate(reader: &mut Reader) -> Result<Message, CdcError> {
    let count = reader.number()?;
    let _options = reader.byte()?;
    let tables = (0..count).map(|_| reader.number()).collect::<Result<_, _>>()?;
    Ok(Message::Truncate { tables })
}

fn undecodable(why: &str) -> CdcError {
    CdcError::Undecodable { why: why.to_owned() }
}

fn unknown(kind: u8) -> CdcError {
    undecodable(&format!("a part of the kind {:?} is not known", char::from(kind)))
}

/// Bytes that are read from the front.
struct Reader(Bytes);

impl Reader {
    fn take(&mut self, length: usize) -> Result<Bytes, CdcError> {
        match self.0.remaining() >= length {
            true => Ok(self.0.split_to(length)),
            false => Err(undecodable("it ends too early")),
        }
    }

    fn byte(&mut self) -> Result<u8, CdcError> {
        Ok(self.take(1)?.get_u8())
    }

    fn count(&mut self) -> Result<u16, CdcError> {
        Ok(self.take(2)?.get_u16())
    }

    fn number(&mut self) -> Result<u32, CdcError> {
        Ok(self.take(4)?.get_u32())
    }

    /// Up to a NUL.
    fn text(&mut self) -> Result<String, CdcError> {
        let length = self.0.iter().position(|byte| *byte == 0);
        let text = self.utf8(length.ok_or_else(|| undecodable("a name has no end"))?)?;
        self.byte()?;
        Ok(text)
    }

    fn utf8(&mut self, length: usize) -> Result<String, CdcError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| undecodable("text is no UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn relation() -> Vec<u8> {
        let mut bytes = b"R\0\0\0\x07shop\0orders\0d\0\x02".to_vec();
        bytes.extend(b"\x01id\0\0\0\0\x17\xff\xff\xff\xff");
        bytes.extend(b"\0note\0\0\0\0\x19\xff\xff\xff\xff");
        bytes
    }

    fn messages() -> Vec<Vec<u8>> {
        vec![
            relation(),
            b"I\0\0\0\x07N\0\x02t\0\0\0\x017n".to_vec(),
            b"U\0\0\0\x07N\0\x02t\0\0\0\x017u".to_vec(),
            b"U\0\0\0\x07K\0\x01t\0\0\0\x016N\0\x01t\0\0\0\x017".to_vec(),
            b"D\0\0\0\x07O\0\x02t\0\0\0\x017t\0\0\0\x02hi".to_vec(),
            b"T\0\0\0\x01\0\0\0\0\x07".to_vec(),
        ]
    }

    #[test]
    fn messages_are_understood() {
        let decoded = messages().into_iter().map(|bytes| decode(bytes.into()).unwrap());
        let column = |name: &str, type_oid, is_key| Column { name: name.into(), type_oid, is_key };
        let columns = vec![column("id", 23, true), column("note", 25, false)];
        let text = |text: &str| Value::Text(text.into());
        let expected = [
            Message::Relation(Relation {
                oid: 7,
                schema: "shop".into(),
                name: "orders".into(),
                columns,
            }),
            Message::Insert { table: 7, after: vec![text("7"), Value::Null] },
            Message::Update {
                table: 7,
                before: Before::Unknown,
                after: vec![text("7"), Value::Unchanged],
            },
            Message::Update {
                table: 7,
                before: Before::Key(vec![text("6")]),
                after: vec![text("7")],
            },
            Message::Delete { table: 7, before: Before::Row(vec![text("7"), text("hi")]) },
            Message::Truncate { tables: vec![7] },
        ];
        assert_eq!(decoded.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_message() {
        for bytes in messages() {
            for length in 0..bytes.len() {
                let cut = Bytes::copy_from_slice(&bytes[..length]);
                assert!(matches!(decode(cut), Err(CdcError::Undecodable { .. })), "{length}");
            }
            let longer = [bytes, vec![0]].concat();
            assert!(matches!(decode(longer.into()), Err(CdcError::Undecodable { .. })));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(bytes.into());
        }
    }
}
