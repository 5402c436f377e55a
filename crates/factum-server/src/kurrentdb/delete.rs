//! Delete (soft) and Tombstone (for ever): one change of the store each. A wrong revision is an
//! error here, not an answer.

use super::{
    errors,
    events::stream_in,
    expected::{self, Expectation},
};
use crate::context::Context;
use factum_core::{AppendError, Change, EventStore, StreamName};
use factum_proto::event_store::client::streams::{
    DeleteReq, DeleteResp, TombstoneReq, TombstoneResp, delete_resp, tombstone_resp,
};
use tonic::Status;

/// Hides all events; the stream may go on.
pub(super) async fn delete(context: &Context, request: DeleteReq) -> Result<DeleteResp, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = stream_in(options.stream_identifier)?;
    let expected = expected::of_delete(options.expected_stream_revision)?;
    let position = change(context, &stream, Change::Delete, expected).await?;
    let position = delete_resp::Position { commit_position: position, prepare_position: position };
    Ok(DeleteResp { position_option: Some(delete_resp::PositionOption::Position(position)) })
}

/// Ends the stream.
pub(super) async fn tombstone(
    context: &Context,
    request: TombstoneReq,
) -> Result<TombstoneResp, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = stream_in(options.stream_identifier)?;
    let expected = expected::of_tombstone(options.expected_stream_revision)?;
    let position = change(context, &stream, Change::Tombstone, expected).await?;
    let position =
        tombstone_resp::Position { commit_position: position, prepare_position: position };
    Ok(TombstoneResp { position_option: Some(tombstone_resp::PositionOption::Position(position)) })
}

async fn change(
    context: &Context,
    stream: &StreamName,
    change: Change,
    expected: Expectation,
) -> Result<u64, Status> {
    match context.store.change(stream, change, expected.check()).await {
        Ok(receipt) => Ok(receipt.position.0),
        Err(AppendError::Conflict { found, .. }) => {
            Err(errors::wrong_version(stream, expected, found))
        }
        Err(error) => Err(errors::of_append(&error)),
    }
}
