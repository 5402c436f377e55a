//! The crate `umadb-client`: a module a behaviour, and what they share.

mod appends;
mod reads;
mod restart;
mod subscriptions;

use crate::server::Server;
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{
    DcbAppendCondition, DcbEvent, DcbEventStoreAsync, DcbQuery, DcbQueryItem, DcbResult,
    DcbSequencedEvent,
};

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

/// A client of this server.
pub(crate) async fn client(server: &Server) -> DcbResult<AsyncUmaDbClient> {
    UmaDbClient::new(url(server)).connect_async().await
}

/// An event whose data is its number.
pub(crate) fn event(kind: &str, tags: &[&str], number: u64) -> DcbEvent {
    let event = DcbEvent::new().event_type(kind).tags(tags.iter().copied());
    event.data(number.to_string())
}

pub(crate) fn number(event: &DcbSequencedEvent) -> u64 {
    std::str::from_utf8(&event.event.data).unwrap().parse().unwrap()
}

pub(crate) fn numbers(events: &[DcbSequencedEvent]) -> Vec<u64> {
    events.iter().map(number).collect()
}

fn positions(events: &[DcbSequencedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}

/// What has one of these types, or any, and all of these tags.
pub(crate) fn item(types: &[&str], tags: &[&str]) -> DcbQueryItem {
    DcbQueryItem::new().types(types.iter().copied()).tags(tags.iter().copied())
}

pub(crate) fn query(types: &[&str], tags: &[&str]) -> DcbQuery {
    DcbQuery::new().item(item(types, tags))
}

fn unless(query: DcbQuery, after: Option<u64>) -> Option<DcbAppendCondition> {
    Some(DcbAppendCondition::new(query).after(after))
}

/// Everything that matches, from the start.
pub(crate) async fn read(
    client: &AsyncUmaDbClient,
    query: Option<DcbQuery>,
) -> DcbResult<Vec<DcbSequencedEvent>> {
    Ok(client.read_with_head(query, None, false, None).await?.0)
}
