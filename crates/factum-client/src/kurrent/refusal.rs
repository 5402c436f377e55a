//! Statuses of KurrentDB's protocol, as errors of a store.
//!
//! The trailer `exception` decides, as it does for KurrentDB's own clients; then the code and the
//! words of the message. Of an append, only what certainly was not written is anything but
//! `Unknown`.

use crate::connect::{explain, no_server, was_not_sent};
use factum_core::{AppendError, ReadError, StreamName};
use tonic::{Code, Status};

const NOT_READY: &str = "Server Is Not Ready";
const TOO_BUSY: &str = "Server Is Too Busy";

/// The trailer that names the error.
pub(super) fn exception(status: &Status) -> Option<&str> {
    text(status, "exception")
}

fn text<'s>(status: &'s Status, trailer: &str) -> Option<&'s str> {
    status.metadata().get(trailer)?.to_str().ok()
}

fn number(status: &Status, trailer: &str) -> Option<usize> {
    text(status, trailer)?.parse().ok()
}

/// The revision at which a stream was, of a wrong expected version.
pub(super) fn actual_version(status: &Status) -> Option<u64> {
    text(status, "actual-version")?.parse().ok()
}

/// What went wrong with a write to a stream, but for a wrong version.
pub(super) fn append_error(status: &Status, stream: &StreamName, authority: &str) -> AppendError {
    let refused = || format!("the server refuses: {}", explain(status)).into();
    match (exception(status), status.code()) {
        _ if was_not_sent(status) => {
            AppendError::Unavailable { why: no_server(authority, status).into() }
        }
        (Some("stream-deleted"), _) => AppendError::Tombstoned { stream: stream.clone() },
        (Some("maximum-append-size-exceeded"), _) => {
            let limit = number(status, "maximum-append-size").unwrap_or_default();
            AppendError::TooLarge { what: "bytes in the append", actual: limit + 1, limit }
        }
        (Some("maximum-append-event-size-exceeded"), _) => AppendError::TooLarge {
            what: "bytes in the event's data",
            actual: number(status, "proposed-append-event-size").unwrap_or(usize::MAX),
            limit: number(status, "maximum-append-event-size").unwrap_or_default(),
        },
        (Some("not-leader"), _) => AppendError::Unavailable { why: not_leader(status).into() },
        (_, Code::Unavailable) if status.message() == TOO_BUSY => AppendError::Overloaded,
        (_, Code::Unavailable) if status.message() == NOT_READY => {
            AppendError::Unavailable { why: NOT_READY.into() }
        }
        (_, Code::ResourceExhausted) => AppendError::Overloaded,
        (None, Code::FailedPrecondition) => AppendError::ReadOnly { why: explain(status).into() },
        (
            _,
            Code::InvalidArgument
            | Code::Unimplemented
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::NotFound,
        ) => AppendError::Unsupported { what: refused() },
        _ => AppendError::Unknown { why: explain(status).into() },
    }
}

fn not_leader(status: &Status) -> String {
    let host = text(status, "leader-endpoint-host").unwrap_or("another node");
    let port = text(status, "leader-endpoint-port").unwrap_or("?");
    format!("this node is not the leader: connect to {host}:{port}")
}

/// Said with a code that says nothing, in the words of several releases.
fn is_invalid_position(status: &Status) -> bool {
    ["InvalidPosition", "invalid position"].iter().any(|words| status.message().contains(words))
}

/// Why a read was not answered, or not to its end.
pub(super) fn read_error(status: &Status, authority: &str) -> ReadError {
    match (exception(status), status.code()) {
        _ if was_not_sent(status) => {
            ReadError::Unavailable { why: no_server(authority, status).into() }
        }
        (Some("not-leader"), _) => ReadError::Unavailable { why: not_leader(status).into() },
        _ if is_invalid_position(status) => ReadError::Unsupported {
            what: "start a read by position elsewhere than at an event: KurrentDB cannot".into(),
        },
        (_, Code::Unavailable) if status.message() == TOO_BUSY => ReadError::Overloaded,
        (_, Code::ResourceExhausted) => ReadError::Overloaded,
        (_, Code::DataLoss) => ReadError::Damaged { what: explain(status).into() },
        (
            _,
            Code::InvalidArgument
            | Code::Unimplemented
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::NotFound
            | Code::FailedPrecondition,
        ) => ReadError::Unsupported {
            what: format!("the server refuses: {}", explain(status)).into(),
        },
        _ => ReadError::Unavailable {
            why: format!("the connection to {authority} is lost: {}", explain(status)).into(),
        },
    }
}

/// The same, of a read that is a part of an append or a change that has not begun.
pub(super) fn before_append(error: ReadError) -> AppendError {
    match error {
        ReadError::Invalid(invalid) => AppendError::Invalid(invalid),
        ReadError::Unsupported { what } => AppendError::Unsupported { what },
        ReadError::Overloaded => AppendError::Overloaded,
        other => AppendError::Unavailable { why: other.to_string().into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Code, message: &str, trailers: &[(&'static str, &'static str)]) -> Status {
        let mut status = Status::new(code, message);
        for (key, value) in trailers {
            status.metadata_mut().insert(*key, value.parse().unwrap());
        }
        status
    }

    fn append(status: &Status, expected: AppendError) {
        assert_eq!(append_error(status, &StreamName::new("a").unwrap(), "h:1"), expected);
    }

    #[test]
    fn trailers_decide_about_appends() {
        let stream = StreamName::new("a").unwrap();
        append(
            &status(Code::FailedPrecondition, "", &[("exception", "stream-deleted")]),
            AppendError::Tombstoned { stream },
        );
        append(
            &status(
                Code::InvalidArgument,
                "",
                &[("exception", "maximum-append-size-exceeded"), ("maximum-append-size", "9")],
            ),
            AppendError::TooLarge { what: "bytes in the append", actual: 10, limit: 9 },
        );
        append(
            &status(
                Code::InvalidArgument,
                "",
                &[
                    ("exception", "maximum-append-event-size-exceeded"),
                    ("proposed-append-event-size", "12"),
                    ("maximum-append-event-size", "9"),
                ],
            ),
            AppendError::TooLarge { what: "bytes in the event's data", actual: 12, limit: 9 },
        );
        let trailers = [
            ("exception", "not-leader"),
            ("leader-endpoint-host", "h2"),
            ("leader-endpoint-port", "7"),
        ];
        append(
            &status(Code::NotFound, "Leader info available", &trailers),
            AppendError::Unavailable { why: "this node is not the leader: connect to h2:7".into() },
        );
    }

    #[test]
    fn words_and_codes_decide_about_the_rest() {
        append(&status(Code::Unavailable, TOO_BUSY, &[]), AppendError::Overloaded);
        let why = NOT_READY.into();
        append(&status(Code::Unavailable, NOT_READY, &[]), AppendError::Unavailable { why });
        for code in [Code::Unavailable, Code::Aborted, Code::Internal, Code::Cancelled] {
            append(&status(code, "x", &[]), AppendError::Unknown { why: "x".into() });
        }
        let read = |code, message| read_error(&status(code, message, &[]), "h:1");
        assert_eq!(read(Code::Unavailable, TOO_BUSY), ReadError::Overloaded);
        assert_eq!(read(Code::DataLoss, "x"), ReadError::Damaged { what: "x".into() });
        assert!(matches!(read(Code::Internal, "x"), ReadError::Unavailable { .. }));
        for words in [
            "Unexpected FilteredReadAllResult: InvalidPosition",
            "Trying to read from an invalid position.",
        ] {
            assert!(matches!(read(Code::Unknown, words), ReadError::Unsupported { .. }));
        }
        assert!(matches!(read(Code::InvalidArgument, "x"), ReadError::Unsupported { .. }));
    }

    #[test]
    fn the_version_that_was_found_is_read() {
        let of = |value| actual_version(&status(Code::Ok, "", &[("actual-version", value)]));
        assert_eq!((of("7"), of("-1"), of("?")), (Some(7), None, None));
    }
}
