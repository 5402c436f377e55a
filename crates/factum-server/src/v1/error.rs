//! Errors of `factum.v1`: the same message in-band and in the trailer, so that a client rebuilds
//! the store's own error from it.

use crate::status;
use factum_core::{AppendError, Found, Invalid, InvalidName, ReadError, StreamState};
use factum_proto::{
    factum::v1::{self as wire, error::Error as Kind, invalid::Invalid as Wrong},
    google::rpc,
};
use prost::Message;
use tonic::{Code, Status};

/// The type of the detail in `grpc-status-details-bin`.
const DETAIL_TYPE: &str = "type.googleapis.com/factum.v1.Error";

/// Why a request was not answered.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The protocol does not allow it.
    #[error("{0}")]
    Request(String),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store did not answer it.
    #[error(transparent)]
    Read(ReadError),
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::Append(invalid.into())
    }
}

impl From<InvalidName> for Problem {
    fn from(name: InvalidName) -> Self {
        Invalid::Name(name).into()
    }
}

/// Too much at once.
pub(crate) fn busy() -> Status {
    Problem::Append(AppendError::Overloaded).into()
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let code = match &problem {
            Problem::Request(_) => Code::InvalidArgument,
            Problem::Append(error) => status::append_row(error).grpc,
            Problem::Read(error) => status::read_row(error).grpc,
        };
        let message = problem.to_string();
        let detail = prost_types::Any {
            type_url: DETAIL_TYPE.into(),
            value: detail(&problem).encode_to_vec(),
        };
        let status =
            rpc::Status { code: code as i32, message: message.clone(), details: Some(detail) };
        Status::with_details(code, message, status.encode_to_vec().into())
    }
}

/// The problem as a message.
pub(crate) fn detail(problem: &Problem) -> wire::Error {
    let error = match problem {
        Problem::Request(why) => Some(wrong(Wrong::Request(why.clone()))),
        Problem::Append(error) => of_append(error),
        Problem::Read(error) => of_read(error),
    };
    wire::Error { error }
}

fn wrong(invalid: Wrong) -> Kind {
    Kind::Invalid(wire::Invalid { invalid: Some(invalid) })
}

fn of_append(error: &AppendError) -> Option<Kind> {
    Some(match error {
        AppendError::Conflict { index, found } => Kind::Conflict(conflict(*index, *found)),
        AppendError::Tombstoned { stream } => {
            Kind::Tombstoned(wire::error::Tombstoned { stream: stream.to_string() })
        }
        AppendError::Tracked { source_name, stored } => {
            Kind::Tracked(wire::error::Tracked { source: source_name.to_string(), stored: *stored })
        }
        AppendError::IdReused { id, at } => {
            Kind::IdReused(wire::error::IdReused { id: id.as_bytes().to_vec().into(), at: at.0 })
        }
        AppendError::Invalid(invalid) => wrong(of_invalid(invalid)?),
        AppendError::TooLarge { what, actual, limit } => Kind::TooLarge(wire::error::TooLarge {
            what: (*what).to_owned(),
            actual: *actual as u64,
            limit: *limit as u64,
        }),
        AppendError::Unsupported { what } => {
            Kind::Unsupported(wire::error::Unsupported { what: what.to_string() })
        }
        AppendError::Overloaded => Kind::Overloaded(wire::Unit {}),
        AppendError::Unknown { why } => {
            Kind::Unknown(wire::error::Unknown { why: why.to_string() })
        }
        AppendError::ReadOnly { why } => {
            Kind::ReadOnly(wire::error::ReadOnly { why: why.to_string() })
        }
        AppendError::Unavailable { why } => {
            Kind::Unavailable(wire::error::Unavailable { why: why.to_string() })
        }
        _ => return None,
    })
}

fn of_read(error: &ReadError) -> Option<Kind> {
    Some(match error {
        ReadError::Invalid(invalid) => wrong(of_invalid(invalid)?),
        ReadError::Unsupported { what } => {
            Kind::Unsupported(wire::error::Unsupported { what: what.to_string() })
        }
        ReadError::Damaged { what } => {
            Kind::Damaged(wire::error::Damaged { what: what.to_string() })
        }
        ReadError::Overloaded => Kind::Overloaded(wire::Unit {}),
        ReadError::Unavailable { why } => {
            Kind::Unavailable(wire::error::Unavailable { why: why.to_string() })
        }
        _ => return None,
    })
}

fn conflict(index: usize, found: Found) -> wire::error::Conflict {
    use wire::error::conflict::Found as Wire;
    let found = match found {
        Found::Stream(found) => Wire::State(state(found)),
        Found::Match(position) => Wire::Match(position.0),
    };
    wire::error::Conflict { index: narrow(index), found: Some(found) }
}

/// An index into what one message held: it has fewer than 2^32 of anything.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// What a stream is, as a message.
pub(super) fn state(state: StreamState) -> wire::StreamState {
    use wire::stream_state::State as Wire;
    let state = match state {
        StreamState::Absent => Wire::Absent(wire::Unit {}),
        StreamState::Live { last } => Wire::Live(last.0),
        StreamState::Deleted { last } => Wire::Deleted(last.0),
        StreamState::Tombstoned => Wire::Tombstoned(wire::Unit {}),
    };
    wire::StreamState { state: Some(state) }
}

fn of_invalid(invalid: &Invalid) -> Option<Wrong> {
    Some(match invalid {
        Invalid::Empty => Wrong::Empty(wire::Unit {}),
        Invalid::NilId { index } => Wrong::NilId(narrow(*index)),
        Invalid::DuplicateId { id, stream } => Wrong::DuplicateId(wire::invalid::DuplicateId {
            id: id.as_bytes().to_vec().into(),
            stream: stream.to_string(),
        }),
        Invalid::Query => Wrong::Query(wire::Unit {}),
        Invalid::DuplicateCheck { stream } => Wrong::DuplicateCheck(stream.to_string()),
        Invalid::Name(name) => Wrong::Name(of_name(name)?),
        Invalid::MetadataType { stream, event_type } => {
            Wrong::MetadataType(wire::invalid::MetadataType {
                stream: stream.to_string(),
                event_type: event_type.clone(),
            })
        }
        Invalid::ReservedType => Wrong::ReservedType(wire::Unit {}),
        Invalid::Metadata { why } => Wrong::Metadata(why.to_string()),
        Invalid::MetadataStream { stream } => Wrong::MetadataStream(stream.to_string()),
        Invalid::Source => Wrong::Source(wire::Unit {}),
        _ => return None,
    })
}

fn of_name(name: &InvalidName) -> Option<wire::InvalidName> {
    use wire::invalid_name::Problem as Wire;
    let (what, problem) = match name {
        InvalidName::Empty { what } => (*what, Wire::Empty(wire::Unit {})),
        InvalidName::TooLong { what, bytes } => (*what, Wire::TooLong(*bytes as u64)),
        InvalidName::Nul { what, at } => (*what, Wire::Nul(*at as u64)),
        InvalidName::NotAStream { name } => ("stream name", Wire::NotAStream(name.clone())),
        _ => return None,
    };
    Some(wire::InvalidName { what: what.into(), problem: Some(problem) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::status::tests::{append_errors, read_errors};

    #[test]
    fn every_error_has_a_detail_in_its_status() {
        let problems = append_errors().into_iter().map(Problem::Append);
        for problem in problems.chain(read_errors().into_iter().map(Problem::Read)) {
            let status = Status::from(problem.clone());
            let carried = rpc::Status::decode(status.details()).unwrap();
            assert_eq!((carried.code, &*carried.message), (status.code() as i32, status.message()));
            let any = carried.details.unwrap();
            assert_eq!(any.type_url, DETAIL_TYPE);
            let error = wire::Error::decode(&*any.value).unwrap();
            assert!(error.error.is_some(), "{problem}");
            assert_eq!(error, detail(&problem));
        }
    }
}
