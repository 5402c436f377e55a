//! One table: what each error of a store is in gRPC and in HTTP, and whether a retry helps.
//!
//! Protocols with words of their own (KurrentDB's trailers, UmaDB's error types) add to a row, and
//! say in their own module where they differ.

use factum_core::{AppendError, ReadError};
use http::StatusCode;
use tonic::Code;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The gRPC status.
    pub grpc: Code,
    /// The HTTP status.
    pub http: StatusCode,
    /// Whether the same request may succeed later without anybody's help.
    pub retryable: bool,
}

const fn row(grpc: Code, http: StatusCode, retryable: bool) -> Row {
    Row { grpc, http, retryable }
}

/// The row of an append's or a change's error.
#[must_use]
pub fn append_row(error: &AppendError) -> Row {
    match error {
        AppendError::Conflict { .. } => row(Code::FailedPrecondition, StatusCode::CONFLICT, false),
        AppendError::Tombstoned { .. } => row(Code::FailedPrecondition, StatusCode::GONE, false),
        AppendError::Tracked { .. } | AppendError::IdReused { .. } => {
            row(Code::AlreadyExists, StatusCode::CONFLICT, false)
        }
        AppendError::Invalid(_) => row(Code::InvalidArgument, StatusCode::BAD_REQUEST, false),
        AppendError::TooLarge { .. } => {
            row(Code::InvalidArgument, StatusCode::PAYLOAD_TOO_LARGE, false)
        }
        AppendError::Unsupported { .. } => {
            row(Code::Unimplemented, StatusCode::NOT_IMPLEMENTED, false)
        }
        AppendError::Overloaded => {
            row(Code::ResourceExhausted, StatusCode::SERVICE_UNAVAILABLE, true)
        }
        AppendError::Unknown { .. } => row(Code::Aborted, StatusCode::GATEWAY_TIMEOUT, true),
        AppendError::ReadOnly { .. } => {
            row(Code::FailedPrecondition, StatusCode::SERVICE_UNAVAILABLE, false)
        }
        AppendError::Unavailable { .. } => {
            row(Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, true)
        }
        _ => row(Code::Unknown, StatusCode::INTERNAL_SERVER_ERROR, false),
    }
}

/// The row of a read's error.
#[must_use]
pub fn read_row(error: &ReadError) -> Row {
    match error {
        ReadError::Invalid(_) => row(Code::InvalidArgument, StatusCode::BAD_REQUEST, false),
        ReadError::Unsupported { .. } => {
            row(Code::Unimplemented, StatusCode::NOT_IMPLEMENTED, false)
        }
        ReadError::Damaged { .. } => row(Code::DataLoss, StatusCode::INTERNAL_SERVER_ERROR, false),
        ReadError::Overloaded => {
            row(Code::ResourceExhausted, StatusCode::SERVICE_UNAVAILABLE, true)
        }
        ReadError::Unavailable { .. } => {
            row(Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, true)
        }
        _ => row(Code::Unknown, StatusCode::INTERNAL_SERVER_ERROR, false),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use factum_core::{Found, Invalid, Position, StreamName, StreamState, Uuid};

    /// One of each.
    pub(crate) fn append_errors() -> Vec<AppendError> {
        vec![
            AppendError::Conflict { index: 1, found: Found::Match(Position(3)) },
            AppendError::Conflict { index: 0, found: Found::Stream(StreamState::Absent) },
            AppendError::Tombstoned { stream: StreamName::new("a-1").unwrap() },
            AppendError::Tracked { source_name: "s".into(), stored: 7 },
            AppendError::IdReused { id: Uuid::from_u128(5), at: Position(2) },
            AppendError::Invalid(Invalid::Empty),
            AppendError::TooLarge { what: "bytes", actual: 2, limit: 1 },
            AppendError::Unsupported { what: "tags".into() },
            AppendError::Overloaded,
            AppendError::Unknown { why: "reset".into() },
            AppendError::ReadOnly { why: "disk".into() },
            AppendError::Unavailable { why: "closed".into() },
        ]
    }

    pub(crate) fn read_errors() -> Vec<ReadError> {
        vec![
            ReadError::Invalid(Invalid::Query),
            ReadError::Unsupported { what: "as-of".into() },
            ReadError::Damaged { what: "a.seg at 7".into() },
            ReadError::Overloaded,
            ReadError::Unavailable { why: "closed".into() },
        ]
    }

    #[test]
    fn every_error_has_a_row_and_retries_as_the_core_says() {
        for error in append_errors() {
            let row = append_row(&error);
            assert_eq!(row.retryable, error.is_retryable(), "{error}");
            assert!(row.grpc != Code::Unknown && row.http != StatusCode::INTERNAL_SERVER_ERROR);
        }
        for error in read_errors() {
            let row = read_row(&error);
            assert_eq!(row.retryable, error.is_retryable(), "{error}");
            assert_ne!(row.grpc, Code::Unknown);
        }
    }
}
