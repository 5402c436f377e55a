//! Names that belong to the store itself, as KurrentDB has them.

/// The type of an event in a `$$NAME` stream: the metadata of `NAME` from then on.
pub const METADATA: &str = "$metadata";

/// The type of a tombstone, the last event of its stream.
pub const STREAM_DELETED: &str = "$streamDeleted";

/// The type of what stands in the place of the last event of a stream when all that was visible of
/// it is gone from the log: the stream's revisions go on from it.
pub const SCAVENGED: &str = "$scavenged";

/// `$tb` of a deleted stream: everything is before it.
pub const DELETED_BEFORE: u64 = i64::MAX as u64;
