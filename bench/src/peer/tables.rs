//! The layout of an event store on a key-value store, as one would build it: everything by
//! position, and a stream's versions with their positions.

/// The key of a version of a stream: in order of version within the stream.
pub(super) fn key(stream: &str, version: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(stream.len() + 9);
    key.extend_from_slice(stream.as_bytes());
    key.push(0);
    key.extend_from_slice(&version.to_be_bytes());
    key
}
