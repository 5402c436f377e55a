//! Names that belong to the store itself, as KurrentDB has them.

/// The type of an event in a `$$NAME` stream: the metadata of `NAME` from then on.
pub const METADATA: &str = "$metadata";

/// The type of a tombstone, the last event of its stream.
pub const STREAM_DELETED: &str = "$streamDeleted";

/// The type of what stands in the place of the last event of a stream when all that was visible of
/// it is gone from the log: the stream's revisions go on from it.
pub const SCAVENGED: &str = "$scavenged";

/// The type of what stands in the place of an event that was erased.
pub const ERASED: &str = "$erased";

/// The stream that says which events were erased, by whom and why.
pub const ERASURES: &str = "$erasures";

/// The type of its events.
pub const EVENT_ERASED: &str = "$event.erased";

/// `$tb` of a deleted stream: everything is before it.
pub const DELETED_BEFORE: u64 = i64::MAX as u64;
