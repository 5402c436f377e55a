//! Names that belong to the store itself, as KurrentDB has them.

/// The type of an event in a `$$NAME` stream: the metadata of `NAME` from then on.
pub const METADATA: &str = "$metadata";

/// The type of a tombstone, the last event of its stream.
pub const STREAM_DELETED: &str = "$streamDeleted";

/// `$tb` of a deleted stream: everything is before it.
pub const DELETED_BEFORE: u64 = i64::MAX as u64;
