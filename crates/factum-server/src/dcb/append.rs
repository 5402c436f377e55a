//! Appends with a condition and a tracked position.

use super::{errors, events, queries, read};
use crate::context::Context;
use factum_core::{Append, AppendError, Check, EventStore, Found, Position, Query, Tracking};
use factum_proto::umadb::v1::{self as wire, AppendRequest};
use tonic::Status;

/// How often a condition is asked again because an event that is not seen here failed it.
const UNSEEN_MAX: usize = 16;

fn weight(request: &AppendRequest) -> usize {
    let entry = |entry: &wire::MetadataEntry| entry.key.len() + entry.value.len();
    let event = |event: &wire::Event| {
        let tags: usize = event.tags.iter().map(String::len).sum();
        let metadata: usize = event.metadata.iter().map(entry).sum();
        event.data.len() + event.event_type.len() + tags + metadata
    };
    request.events.iter().map(event).sum()
}

/// The position of the last event; 0 where there was none to write, as UmaDB has it.
pub(super) async fn append(context: &Context, request: AppendRequest) -> Result<u64, Status> {
    let room = context.gate.append_bytes.take(weight(&request));
    let _room = room.ok_or_else(errors::busy)?;
    let AppendRequest { events, condition, tracking_info } = request;
    if events.is_empty() && tracking_info.is_none() {
        return Ok(0);
    }
    let streams = context.config.dcb_streams;
    let events = events.into_iter().map(|event| events::event(event, streams));
    let mut append = Append {
        events: events.collect::<Result<_, _>>()?,
        checks: Vec::new(),
        tracking: tracking_info.map(|tracking| Tracking {
            source: tracking.source.into(),
            position: tracking.position,
        }),
    };
    if let Some(condition) = condition {
        append.checks.push(check(condition)?);
    }
    write(context, append).await
}

fn check(condition: wire::AppendCondition) -> Result<Check, Status> {
    let query = queries::query(condition.fail_if_events_match)?;
    Ok(Check::NoMatch { query, after: Position(condition.after.unwrap_or(0)) })
}

/// Appends. Where the first match is an event of the system, which is not seen here, the condition
/// is asked again after what is known not to match: it stays one atomic check.
async fn write(context: &Context, mut append: Append) -> Result<u64, Status> {
    for _ in 0..UNSEEN_MAX {
        let error = match context.store.append(append.clone()).await {
            Ok(receipt) => return Ok(receipt.position.0),
            Err(error) => error,
        };
        let [Check::NoMatch { query, after }] = append.checks.as_mut_slice() else {
            return Err(errors::of_append(&error));
        };
        let AppendError::Conflict { found: Found::Match(at), .. } = error else {
            return Err(errors::of_append(&error));
        };
        match unseen_through(context, query, at).await? {
            None => return Err(errors::of_append(&error)),
            Some(through) => *after = through.max(*after),
        }
    }
    Err(errors::busy())
}

/// The head, if no event that is seen here matches from a position on.
async fn unseen_through(
    context: &Context,
    query: &Query,
    from: Position,
) -> Result<Option<Position>, Status> {
    let (head, first) = read::first_visible(context, query.clone(), from).await?;
    Ok(first.is_none().then_some(head))
}
