//! The bytes on disk: `docs/format.md` says all of them. Pure: bytes in, values out.

pub(crate) mod body;
pub(crate) mod entry;
pub mod frame;
pub mod header;
pub(crate) mod lost;
pub(crate) mod names;
pub(crate) mod varint;
