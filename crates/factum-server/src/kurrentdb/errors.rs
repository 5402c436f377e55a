//! Statuses of KurrentDB's protocol: code, message and trailers, word for word, because clients
//! decide by each of the three.

use super::expected::Expectation;
use crate::status;
use factum_core::{AppendError, Found, ReadError, StreamName, StreamState};
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataKey, MetadataMap, MetadataValue},
};

const EXCEPTION: &str = "exception";
const STREAM_NAME: &str = "stream-name";

fn with(code: Code, message: String, trailers: &[(&'static str, &str)]) -> Status {
    let mut map = MetadataMap::new();
    for (key, value) in trailers {
        map.insert(AsciiMetadataKey::from_static(key), ascii(value));
    }
    Status::with_metadata(code, message, map)
}

/// A trailer is ASCII: every other byte, and `%`, is written as `%XX`.
fn ascii(text: &str) -> MetadataValue<tonic::metadata::Ascii> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
    let encoded: String = text
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    encoded.parse().expect("printable ASCII is a trailer's value")
}

/// Too much at once.
pub(crate) fn busy() -> Status {
    Status::unavailable("Server Is Too Busy")
}

/// The request is wrong.
pub(super) fn invalid(why: impl Into<String>) -> Status {
    Status::invalid_argument(why)
}

/// A required argument is not there.
pub(super) fn required(name: &str) -> Status {
    invalid(format!("`{name}` is a required argument"))
}

/// There is no such scavenge going on.
pub(super) fn scavenge_not_found(id: &str) -> Status {
    let trailers = [(EXCEPTION, "scavenge-not-found"), ("scavenge-id", id)];
    with(Code::NotFound, "Scavenge id was invalid.".to_owned(), &trailers)
}

/// The stream is tombstoned.
pub(super) fn stream_deleted(stream: &StreamName) -> Status {
    let trailers = [(EXCEPTION, "stream-deleted"), (STREAM_NAME, stream.as_str())];
    with(Code::FailedPrecondition, format!("Event stream '{stream}' is deleted."), &trailers)
}

/// A delete found the stream at another revision. Appends say so in-band.
pub(super) fn wrong_version(stream: &StreamName, expected: Expectation, found: Found) -> Status {
    let expected = expected.number().to_string();
    let actual = current(found).map_or_else(|| "-1".to_owned(), |last| last.to_string());
    let message = format!(
        "Delete failed due to WrongExpectedVersion. Stream: {stream}, Expected version: \
         {expected}, Actual version: {actual}"
    );
    let trailers = [
        (EXCEPTION, "wrong-expected-version"),
        (STREAM_NAME, stream.as_str()),
        ("expected-version", &expected),
        ("actual-version", &actual),
    ];
    with(Code::FailedPrecondition, message, &trailers)
}

/// The last revision of what a check found.
pub(super) fn current(found: Found) -> Option<u64> {
    match found {
        Found::Stream(StreamState::Live { last } | StreamState::Deleted { last }) => Some(last.0),
        Found::Stream(StreamState::Tombstoned) => Some(i64::MAX as u64),
        Found::Stream(StreamState::Absent) | Found::Match(_) => None,
    }
}

/// An append has too many bytes.
pub(super) fn append_too_large(limit: usize) -> Status {
    let max = limit.to_string();
    let trailers = [(EXCEPTION, "maximum-append-size-exceeded"), ("maximum-append-size", &max)];
    let message = format!("Maximum Append Size of {limit} Exceeded.");
    with(Code::InvalidArgument, message, &trailers)
}

/// An event has too many bytes.
pub(super) fn event_too_large(id: &str, size: usize, limit: usize) -> Status {
    let (proposed, max) = (size.to_string(), limit.to_string());
    let trailers = [
        (EXCEPTION, "maximum-append-event-size-exceeded"),
        ("event-id", id),
        ("proposed-append-event-size", &proposed),
        ("maximum-append-event-size", &max),
    ];
    let message =
        format!("Event with Id: {id}, Size: {size}, exceeds Maximum Append Event Size of {limit}.");
    with(Code::InvalidArgument, message, &trailers)
}

/// `type` or `content-type` is not there.
pub(super) fn missing_property(name: &str) -> Status {
    let trailers = [
        (EXCEPTION, "missing-required-metadata-property"),
        ("required-metadata-properties", "type,content-type"),
    ];
    let message = format!("Required Metadata Property '{name}' is missing");
    with(Code::InvalidArgument, message, &trailers)
}

/// Why an append or a delete was not done, where that is not told in-band.
pub(super) fn of_append(error: &AppendError) -> Status {
    let message = error.to_string();
    match error {
        AppendError::Tombstoned { stream } => stream_deleted(stream),
        AppendError::Overloaded => busy(),
        AppendError::Unavailable { .. } => Status::unavailable("Server Is Not Ready"),
        AppendError::Unknown { .. } => Status::aborted(format!("Operation timed out: {message}")),
        _ => Status::new(status::append_row(error).grpc, message),
    }
}

/// Why a read was not answered.
pub(super) fn of_read(error: &ReadError) -> Status {
    match error {
        ReadError::Overloaded => busy(),
        ReadError::Unavailable { .. } => Status::unavailable("Server Is Not Ready"),
        _ => Status::new(status::read_row(error).grpc, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::status::tests::{append_errors, read_errors};
    use factum_core::Revision;

    fn check(status: &Status, code: Code, message: &str, trailers: &[(&str, &str)]) {
        assert_eq!((status.code(), status.message()), (code, message));
        let got: Vec<(String, String)> = status
            .metadata()
            .clone()
            .into_headers()
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        assert_eq!(got.len(), trailers.len(), "{got:?}");
        for (key, value) in trailers {
            assert!(got.iter().any(|(k, v)| k == key && v == value), "{key}: {value} in {got:?}");
        }
    }

    #[test]
    fn words_and_trailers_are_those_of_the_protocol() {
        let stream = StreamName::new("a-1").unwrap();
        check(
            &stream_deleted(&stream),
            Code::FailedPrecondition,
            "Event stream 'a-1' is deleted.",
            &[("exception", "stream-deleted"), ("stream-name", "a-1")],
        );
        let found = Found::Stream(StreamState::Live { last: Revision(4) });
        check(
            &wrong_version(&stream, Expectation::NoStream, found),
            Code::FailedPrecondition,
            "Delete failed due to WrongExpectedVersion. Stream: a-1, Expected version: -1, Actual \
             version: 4",
            &[
                ("exception", "wrong-expected-version"),
                ("stream-name", "a-1"),
                ("expected-version", "-1"),
                ("actual-version", "4"),
            ],
        );
        check(
            &missing_property("type"),
            Code::InvalidArgument,
            "Required Metadata Property 'type' is missing",
            &[
                ("exception", "missing-required-metadata-property"),
                ("required-metadata-properties", "type,content-type"),
            ],
        );
        check(
            &append_too_large(9),
            Code::InvalidArgument,
            "Maximum Append Size of 9 Exceeded.",
            &[("exception", "maximum-append-size-exceeded"), ("maximum-append-size", "9")],
        );
        check(&busy(), Code::Unavailable, "Server Is Too Busy", &[]);
    }

    #[test]
    fn a_name_outside_of_ascii_is_escaped_in_trailers() {
        let status = stream_deleted(&StreamName::new("ü%\n").unwrap());
        assert_eq!(status.metadata().get("stream-name").unwrap(), "%C3%BC%25%0A");
        assert_eq!(status.message(), "Event stream 'ü%\n' is deleted.");
    }

    #[test]
    fn every_error_of_a_store_has_a_status() {
        for error in append_errors() {
            assert_ne!(of_append(&error).code(), Code::Unknown, "{error}");
        }
        for error in read_errors() {
            assert_ne!(of_read(&error).code(), Code::Unknown, "{error}");
        }
    }
}
