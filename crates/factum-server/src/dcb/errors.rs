//! Statuses as UmaDB's clients read them: the code of the one table, and a detail with the kind of
//! the error, which clients decide by. Pure.

use crate::status;
use factum_core::{AppendError, ReadError};
use factum_proto::umadb::v1::{ErrorResponse, error_response::ErrorType};
use prost::Message;
use tonic::{Code, Status};

fn with(code: Code, kind: ErrorType, message: String) -> Status {
    let detail = ErrorResponse { message: message.clone(), error_type: kind.into() };
    Status::with_details(code, message, detail.encode_to_vec().into())
}

/// The request is wrong.
pub(super) fn invalid(why: impl Into<String>) -> Status {
    with(Code::InvalidArgument, ErrorType::InvalidArgument, why.into())
}

/// Too much at once.
pub(crate) fn busy() -> Status {
    of_append(&AppendError::Overloaded)
}

/// Why an append was not done.
pub(super) fn of_append(error: &AppendError) -> Status {
    let message = error.to_string();
    match error {
        // Both are integrity errors there: the condition, and the tracked position.
        AppendError::Conflict { .. } | AppendError::Tracked { .. } => {
            with(Code::FailedPrecondition, ErrorType::Integrity, message)
        }
        AppendError::IdReused { .. } | AppendError::Tombstoned { .. } => {
            with(status::append_row(error).grpc, ErrorType::Integrity, message)
        }
        AppendError::Invalid(_) | AppendError::TooLarge { .. } => {
            with(status::append_row(error).grpc, ErrorType::InvalidArgument, message)
        }
        // Without a detail, clients read "cannot be reached" from the code.
        AppendError::Unavailable { .. } => Status::unavailable(message),
        _ => with(status::append_row(error).grpc, ErrorType::Io, message),
    }
}

/// Why a read was not answered.
pub(super) fn of_read(error: &ReadError) -> Status {
    let (code, message) = (status::read_row(error).grpc, error.to_string());
    match error {
        ReadError::Invalid(_) => with(code, ErrorType::InvalidArgument, message),
        ReadError::Damaged { .. } => with(code, ErrorType::Corruption, message),
        ReadError::Unavailable { .. } => Status::unavailable(message),
        _ => with(code, ErrorType::Io, message),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::status::tests::{append_errors, read_errors};
    use factum_core::{Found, Position};

    #[test]
    fn a_failed_condition_is_an_integrity_error() {
        let status =
            of_append(&AppendError::Conflict { index: 0, found: Found::Match(Position(3)) });
        let detail = ErrorResponse::decode(status.details()).unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(detail.error_type(), ErrorType::Integrity);
        assert_eq!(detail.message, status.message());
    }

    #[test]
    fn every_error_of_a_store_has_a_status() {
        let appends = append_errors();
        let appends = appends.iter().map(of_append);
        let reads = read_errors();
        for status in appends.chain(reads.iter().map(of_read)) {
            assert_ne!(status.code(), Code::Unknown, "{status}");
            assert!(status.code() == Code::Unavailable || !status.details().is_empty());
        }
    }
}
