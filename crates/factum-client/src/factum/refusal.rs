//! Errors, rebuilt exactly as the server's store had them.
//!
//! A refusal comes as the message `Error`: in-band from a call of many appends, otherwise in the
//! status. A status without it is not the store's: then the code decides, and for an append whether
//! it can have been written. Only what certainly was not is anything but `Unknown`.

use super::decode;
use crate::connect::{explain, no_server, was_not_sent};
use factum_core::{AppendError, Found, Invalid, InvalidName, Position, ReadError, StreamName};
use factum_proto::{
    factum::v1::{
        self,
        error::{Conflict, Error, conflict},
        invalid,
        invalid_name::Problem,
    },
    google::rpc,
};
use prost::Message as _;
use std::{borrow::Cow, sync::Arc};
use tonic::{Code, Status};

/// The error of an append or a change that ended with a status.
pub(super) fn append_error(status: &Status, authority: &Arc<str>) -> AppendError {
    if let Some(error) = detail(status) {
        return append_refusal(error).unwrap_or_else(|| unknown(explain(status)));
    }
    let what = || format!("the server refuses the call: {}", explain(status)).into();
    match status.code() {
        _ if was_not_sent(status) => {
            AppendError::Unavailable { why: no_server(authority, status).into() }
        }
        Code::ResourceExhausted => AppendError::Overloaded,
        // Judged by the server's protocol layer, before the store was asked.
        Code::Unimplemented
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::Unauthenticated
        | Code::PermissionDenied => AppendError::Unsupported { what: what() },
        _ => unknown(explain(status)),
    }
}

/// The error of a read that ended with a status.
pub(super) fn read_error(status: &Status, authority: &Arc<str>) -> ReadError {
    if let Some(error) = detail(status).and_then(read_refusal) {
        return error;
    }
    match status.code() {
        _ if was_not_sent(status) => {
            ReadError::Unavailable { why: no_server(authority, status).into() }
        }
        Code::ResourceExhausted => ReadError::Overloaded,
        Code::Unimplemented
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::Unauthenticated
        | Code::PermissionDenied => ReadError::Unsupported {
            what: format!("the server refuses the call: {}", explain(status)).into(),
        },
        Code::DataLoss => ReadError::Damaged { what: explain(status).into() },
        _ => ReadError::Unavailable {
            why: format!("the connection to {authority} is lost: {}", explain(status)).into(),
        },
    }
}

/// The error that a call of many appends answered one of them with.
pub(super) fn answered(error: v1::Error) -> AppendError {
    let shown = format!("an error that this client does not know: {error:?}");
    error.error.and_then(append_refusal).unwrap_or_else(|| unknown(shown))
}

pub(super) fn unknown(why: impl Into<Cow<'static, str>>) -> AppendError {
    AppendError::Unknown { why: why.into() }
}

/// The message in the trailer `grpc-status-details-bin`.
fn detail(status: &Status) -> Option<Error> {
    let outer = rpc::Status::decode(status.details()).ok()?;
    let detail = outer.details.filter(|any| any.type_url.ends_with("/factum.v1.Error"))?;
    v1::Error::decode(&*detail.value).ok()?.error
}

/// `None` where the message says less than its kind of error needs.
fn append_refusal(error: Error) -> Option<AppendError> {
    Some(match error {
        Error::Conflict(conflict) => AppendError::Conflict {
            index: usize::try_from(conflict.index).ok()?,
            found: found(conflict)?,
        },
        Error::Tombstoned(tombstoned) => {
            AppendError::Tombstoned { stream: StreamName::new(&tombstoned.stream).ok()? }
        }
        Error::Tracked(tracked) => {
            AppendError::Tracked { source_name: tracked.source.into(), stored: tracked.stored }
        }
        Error::IdReused(reused) => {
            AppendError::IdReused { id: decode::id(&reused.id)?, at: Position(reused.at) }
        }
        Error::Invalid(invalid) => invalid_append(invalid.invalid?)?,
        Error::TooLarge(large) => AppendError::TooLarge {
            what: limited(&large.what),
            actual: usize::try_from(large.actual).unwrap_or(usize::MAX),
            limit: usize::try_from(large.limit).unwrap_or(usize::MAX),
        },
        Error::Unsupported(unsupported) => {
            AppendError::Unsupported { what: unsupported.what.into() }
        }
        Error::Overloaded(_) => AppendError::Overloaded,
        Error::Unknown(error) => unknown(error.why),
        Error::ReadOnly(read_only) => AppendError::ReadOnly { why: read_only.why.into() },
        Error::Unavailable(unavailable) => AppendError::Unavailable { why: unavailable.why.into() },
        Error::Damaged(_) => return None,
    })
}

fn read_refusal(error: Error) -> Option<ReadError> {
    Some(match error {
        Error::Invalid(invalid) => match invalid.invalid? {
            invalid::Invalid::Request(what) => refused_request(&what),
            other => ReadError::Invalid(self::invalid(other)?),
        },
        Error::Unsupported(unsupported) => ReadError::Unsupported { what: unsupported.what.into() },
        Error::Damaged(damaged) => ReadError::Damaged { what: damaged.what.into() },
        Error::Overloaded(_) => ReadError::Overloaded,
        Error::Unavailable(unavailable) => ReadError::Unavailable { why: unavailable.why.into() },
        _ => return None,
    })
}

fn refused_request(what: &str) -> ReadError {
    ReadError::Unsupported { what: format!("the server refuses the request: {what}").into() }
}

fn invalid_append(message: invalid::Invalid) -> Option<AppendError> {
    Some(match message {
        invalid::Invalid::Request(what) => AppendError::Unsupported {
            what: format!("the server refuses the request: {what}").into(),
        },
        other => AppendError::Invalid(invalid(other)?),
    })
}

fn invalid(message: invalid::Invalid) -> Option<Invalid> {
    use invalid::Invalid as Wire;
    Some(match message {
        Wire::Request(_) => return None,
        Wire::Empty(_) => Invalid::Empty,
        Wire::NilId(index) => Invalid::NilId { index: usize::try_from(index).ok()? },
        Wire::DuplicateId(twice) => Invalid::DuplicateId {
            id: decode::id(&twice.id)?,
            stream: StreamName::new(&twice.stream).ok()?,
        },
        Wire::Query(_) => Invalid::Query,
        Wire::DuplicateCheck(stream) => {
            Invalid::DuplicateCheck { stream: StreamName::new(&stream).ok()? }
        }
        Wire::Name(name) => Invalid::Name(invalid_name(name)?),
        Wire::MetadataType(wrong) => Invalid::MetadataType {
            stream: StreamName::new(&wrong.stream).ok()?,
            event_type: wrong.event_type,
        },
        Wire::ReservedType(_) => Invalid::ReservedType,
        Wire::Metadata(why) => Invalid::Metadata { why: why.into() },
        Wire::MetadataStream(stream) => {
            Invalid::MetadataStream { stream: StreamName::new(&stream).ok()? }
        }
        Wire::Source(_) => Invalid::Source,
    })
}

fn invalid_name(message: v1::InvalidName) -> Option<InvalidName> {
    let what = *["stream name", "event type", "tag"].iter().find(|what| **what == message.what)?;
    let size = |size| usize::try_from(size).ok();
    Some(match message.problem? {
        Problem::Empty(_) => InvalidName::Empty { what },
        Problem::TooLong(bytes) => InvalidName::TooLong { what, bytes: size(bytes)? },
        Problem::Nul(at) => InvalidName::Nul { what, at: size(at)? },
        Problem::NotAStream(name) => InvalidName::NotAStream { name },
    })
}

fn found(conflict: Conflict) -> Option<Found> {
    Some(match conflict.found? {
        conflict::Found::State(state) => Found::Stream(decode::state(Some(state))?),
        conflict::Found::Match(position) => Found::Match(Position(position)),
    })
}

/// What is limited, as `factum_core` says it: the field takes no text made at run time.
fn limited(what: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "events in the append",
        "checks in the append",
        "bytes in the append",
        "bytes in the event's data",
        "bytes in the event's metadata",
        "bytes in the stream's metadata",
        "tags on the event",
        "items in the query",
        "values in the query",
    ];
    KNOWN.into_iter().find(|known| *known == what).unwrap_or("something in the append")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use factum_core::{Revision, StreamState, Uuid};
    use v1::{StreamState as WireState, Unit, error, stream_state::State};

    fn status(code: Code, error: Error) -> Status {
        let value = v1::Error { error: Some(error) }.encode_to_vec();
        let any =
            prost_types::Any { type_url: "type.googleapis.com/factum.v1.Error".into(), value };
        let outer = rpc::Status { code: code.into(), message: "text".into(), details: Some(any) };
        Status::with_details(code, "text", outer.encode_to_vec().into())
    }

    fn append(error: Error, expected: AppendError) {
        let got = append_error(&status(Code::Unknown, error.clone()), &"h:1".into());
        assert_eq!(got, expected);
        let got = answered(v1::Error { error: Some(error) });
        assert_eq!(got, expected, "in-band");
    }

    fn invalid_is(wire: invalid::Invalid, expected: Invalid) {
        let error = Error::Invalid(v1::Invalid { invalid: Some(wire) });
        append(error.clone(), expected.clone().into());
        let got = read_error(&status(Code::InvalidArgument, error), &"h:1".into());
        assert_eq!(got, expected.into());
    }

    fn stream(name: &str) -> StreamName {
        StreamName::new(name).unwrap()
    }

    fn id() -> (Uuid, Bytes) {
        let id = Uuid::from_u128(5);
        (id, Bytes::copy_from_slice(id.as_bytes()))
    }

    #[test]
    fn conflicts_are_rebuilt() {
        let states = [
            (State::Absent(Unit {}), StreamState::Absent),
            (State::Live(3), StreamState::Live { last: Revision(3) }),
            (State::Deleted(4), StreamState::Deleted { last: Revision(4) }),
            (State::Tombstoned(Unit {}), StreamState::Tombstoned),
        ];
        for (wire, state) in states {
            let found = conflict::Found::State(WireState { state: Some(wire) });
            let wire = Error::Conflict(Conflict { index: 2, found: Some(found) });
            append(wire, AppendError::Conflict { index: 2, found: Found::Stream(state) });
        }
        let found = Some(conflict::Found::Match(9));
        let expected = AppendError::Conflict { index: 0, found: Found::Match(Position(9)) };
        append(Error::Conflict(Conflict { index: 0, found }), expected);
    }

    #[test]
    fn the_other_refusals_are_rebuilt() {
        let (id, bytes) = id();
        append(
            Error::Tombstoned(error::Tombstoned { stream: "a".into() }),
            AppendError::Tombstoned { stream: stream("a") },
        );
        append(
            Error::Tracked(error::Tracked { source: "s".into(), stored: 7 }),
            AppendError::Tracked { source_name: "s".into(), stored: 7 },
        );
        append(
            Error::IdReused(error::IdReused { id: bytes, at: 3 }),
            AppendError::IdReused { id, at: Position(3) },
        );
        let what = "bytes in the event's data";
        append(
            Error::TooLarge(error::TooLarge { what: what.into(), actual: 3, limit: 2 }),
            AppendError::TooLarge { what, actual: 3, limit: 2 },
        );
        append(Error::Overloaded(Unit {}), AppendError::Overloaded);
        let why = String::from("why");
        append(
            Error::Unsupported(error::Unsupported { what: why.clone() }),
            AppendError::Unsupported { what: "why".into() },
        );
        append(
            Error::Unknown(error::Unknown { why: why.clone() }),
            AppendError::Unknown { why: "why".into() },
        );
        append(
            Error::ReadOnly(error::ReadOnly { why: why.clone() }),
            AppendError::ReadOnly { why: "why".into() },
        );
        append(
            Error::Unavailable(error::Unavailable { why }),
            AppendError::Unavailable { why: "why".into() },
        );
    }

    #[test]
    fn what_is_invalid_is_rebuilt() {
        let (id, bytes) = id();
        invalid_is(invalid::Invalid::Empty(Unit {}), Invalid::Empty);
        invalid_is(invalid::Invalid::NilId(3), Invalid::NilId { index: 3 });
        invalid_is(
            invalid::Invalid::DuplicateId(invalid::DuplicateId { id: bytes, stream: "a".into() }),
            Invalid::DuplicateId { id, stream: stream("a") },
        );
        invalid_is(invalid::Invalid::Query(Unit {}), Invalid::Query);
        invalid_is(
            invalid::Invalid::DuplicateCheck("a".into()),
            Invalid::DuplicateCheck { stream: stream("a") },
        );
        invalid_is(
            invalid::Invalid::MetadataType(invalid::MetadataType {
                stream: "a".into(),
                event_type: "t".into(),
            }),
            Invalid::MetadataType { stream: stream("a"), event_type: "t".into() },
        );
        invalid_is(invalid::Invalid::ReservedType(Unit {}), Invalid::ReservedType);
        invalid_is(invalid::Invalid::Metadata("no".into()), Invalid::Metadata { why: "no".into() });
        invalid_is(
            invalid::Invalid::MetadataStream("$$a".into()),
            Invalid::MetadataStream { stream: stream("$$a") },
        );
        invalid_is(invalid::Invalid::Source(Unit {}), Invalid::Source);
    }

    #[test]
    fn invalid_names_are_rebuilt() {
        let names = [
            (Problem::Empty(Unit {}), InvalidName::Empty { what: "tag" }),
            (Problem::TooLong(9), InvalidName::TooLong { what: "tag", bytes: 9 }),
            (Problem::Nul(2), InvalidName::Nul { what: "tag", at: 2 }),
            (Problem::NotAStream("$$".into()), InvalidName::NotAStream { name: "$$".into() }),
        ];
        for (problem, expected) in names {
            let name = v1::InvalidName { what: "tag".into(), problem: Some(problem) };
            invalid_is(invalid::Invalid::Name(name), Invalid::Name(expected));
        }
    }

    #[test]
    fn reads_are_refused_in_their_own_words() {
        let read = |error, expected| {
            assert_eq!(read_error(&status(Code::Unknown, error), &"h:1".into()), expected);
        };
        let text = String::from("x");
        read(
            Error::Damaged(error::Damaged { what: text.clone() }),
            ReadError::Damaged { what: "x".into() },
        );
        read(
            Error::Unsupported(error::Unsupported { what: text.clone() }),
            ReadError::Unsupported { what: "x".into() },
        );
        read(
            Error::Unavailable(error::Unavailable { why: text }),
            ReadError::Unavailable { why: "x".into() },
        );
        read(Error::Overloaded(Unit {}), ReadError::Overloaded);
    }

    #[test]
    fn without_details_only_what_was_not_written_is_not_unknown() {
        let kind = |code| match append_error(&Status::new(code, ""), &"h:1".into()) {
            AppendError::Unknown { .. } => 'u',
            AppendError::Unsupported { .. } => 's',
            AppendError::Overloaded => 'o',
            other => panic!("{other:?}"),
        };
        let codes = [
            (Code::Unavailable, 'u'),
            (Code::Internal, 'u'),
            (Code::DeadlineExceeded, 'u'),
            (Code::Cancelled, 'u'),
            (Code::Unimplemented, 's'),
            (Code::InvalidArgument, 's'),
            (Code::PermissionDenied, 's'),
            (Code::ResourceExhausted, 'o'),
        ];
        for (code, expected) in codes {
            assert_eq!(kind(code), expected, "{code:?}");
        }
        // Details that are none, or of somebody else.
        let garbage = Status::with_details(Code::Aborted, "", Bytes::from_static(b"\xff\xff"));
        assert!(matches!(append_error(&garbage, &"h:1".into()), AppendError::Unknown { .. }));
        assert!(matches!(answered(v1::Error { error: None }), AppendError::Unknown { .. }));
    }
}
