//! Every error that a store may have, over each protocol: the code that its row says.

use crate::harness::*;
use factum_core::{
    AnyStore, AppendError, Found, Invalid, Position, ReadError, StreamName, StreamState, Uuid,
};
use factum_proto::{
    factum::v1::{self as v1, error::Error as Kind},
    google::rpc,
    umadb::v1::{self as dcb, ErrorResponse, error_response::ErrorType},
};
use factum_server::{append_row, read_row};
use prost::Message;
use tonic::{Code, Status};

fn append_errors() -> Vec<AppendError> {
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

fn read_errors() -> Vec<ReadError> {
    vec![
        ReadError::Invalid(Invalid::Query),
        ReadError::Unsupported { what: "as-of".into() },
        ReadError::Damaged { what: "a.seg at 7".into() },
        ReadError::Overloaded,
        ReadError::Unavailable { why: "closed".into() },
    ]
}

async fn failing(append: Option<AppendError>, read: Option<ReadError>) -> Running {
    let mut store = Held::new();
    (store.append_error, store.read_error) = (append, read);
    Running::with(AnyStore::new(store), |_| ()).await
}

fn kind(status: &Status) -> Kind {
    let carried = rpc::Status::decode(status.details()).unwrap();
    assert_eq!((carried.code, &*carried.message), (status.code() as i32, status.message()));
    let error: v1::Error = v1::Error::decode(&*carried.details.unwrap().value).unwrap();
    error.error.unwrap()
}

fn v1_append() -> v1::AppendRequest {
    let event = v1::NewEvent {
        id: vec![1; 16].into(),
        stream: 0,
        r#type: 0,
        content_type: v1::ContentType::Json.into(),
        ..Default::default()
    };
    v1::AppendRequest { names: vec!["a".into()], events: vec![event], ..Default::default() }
}

#[tokio::test]
async fn v1_tells_the_error_itself() {
    for error in append_errors() {
        let server = failing(Some(error.clone()), None).await;
        let status = soon(server.v1().await.append(v1_append())).await.unwrap_err();
        assert_eq!(status.code(), append_row(&error).grpc, "{error}");
        assert_eq!(status.message(), error.to_string());
        let expected = match &error {
            AppendError::Tracked { stored, .. } => {
                Kind::Tracked(v1::error::Tracked { source: "s".into(), stored: *stored })
            }
            AppendError::TooLarge { .. } => {
                Kind::TooLarge(v1::error::TooLarge { what: "bytes".into(), actual: 2, limit: 1 })
            }
            AppendError::Overloaded => Kind::Overloaded(v1::Unit {}),
            _ => kind(&status),
        };
        assert_eq!(kind(&status), expected);
    }
    for error in read_errors() {
        let server = failing(None, Some(error.clone())).await;
        let status = soon(server.v1().await.head(v1::HeadRequest {})).await.unwrap_err();
        assert_eq!(status.code(), read_row(&error).grpc, "{error}");
        kind(&status);
    }
}

#[tokio::test]
async fn kurrentdb_tells_codes_and_words() {
    for error in append_errors() {
        let server = failing(Some(error.clone()), None).await;
        let mut client = server.streams().await;
        let requests = vec![options("a-1", ANY), proposed(1, "t", "1")];
        let told = send(&mut client, requests).await;
        let (code, message) = match &error {
            AppendError::Conflict { .. } | AppendError::IdReused { .. } => {
                assert!(told.is_ok(), "told in-band: {told:?}");
                continue;
            }
            AppendError::Tombstoned { .. } => {
                (Code::FailedPrecondition, "Event stream 'a-1' is deleted.".to_owned())
            }
            AppendError::Overloaded => (Code::Unavailable, "Server Is Too Busy".to_owned()),
            AppendError::Unavailable { .. } => {
                (Code::Unavailable, "Server Is Not Ready".to_owned())
            }
            AppendError::Unknown { .. } => (Code::Aborted, format!("Operation timed out: {error}")),
            other => (append_row(other).grpc, error.to_string()),
        };
        let status = told.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, &*message));
    }
    for error in read_errors() {
        let server = failing(None, Some(error.clone())).await;
        let status = read(&mut server.streams().await, of_all(ALL_START)).await.unwrap_err();
        let code = match error {
            ReadError::Overloaded => Code::Unavailable,
            ref other => read_row(other).grpc,
        };
        assert_eq!(status.code(), code, "{error}");
    }
}

#[tokio::test]
async fn dcb_tells_the_kind() {
    for error in append_errors() {
        let server = failing(Some(error.clone()), None).await;
        let event = dcb::Event { event_type: "t".into(), ..Default::default() };
        let request = dcb::AppendRequest { events: vec![event], ..Default::default() };
        let status = soon(server.dcb().await.append(request)).await.unwrap_err();
        if matches!(error, AppendError::Unavailable { .. }) {
            assert_eq!(status.code(), Code::Unavailable);
            continue;
        }
        let detail = ErrorResponse::decode(status.details()).unwrap();
        let expected = match &error {
            AppendError::Conflict { .. }
            | AppendError::Tracked { .. }
            | AppendError::Tombstoned { .. }
            | AppendError::IdReused { .. } => ErrorType::Integrity,
            AppendError::Invalid(_) | AppendError::TooLarge { .. } => ErrorType::InvalidArgument,
            _ => ErrorType::Io,
        };
        assert_eq!(detail.error_type(), expected, "{error}");
    }
    for error in read_errors() {
        let server = failing(None, Some(error.clone())).await;
        let status = soon(server.dcb().await.head(dcb::HeadRequest {})).await.unwrap_err();
        assert_eq!(status.code(), read_row(&error).grpc, "{error}");
    }
}
