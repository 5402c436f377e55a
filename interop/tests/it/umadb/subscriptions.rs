//! Subscriptions: from any position, by query, live.

use super::{client, event, number, query};
use crate::{Outcome, server::Server, soon};
use std::{collections::VecDeque, time::Duration};
use umadb_client::AsyncUmaDbClient;
use umadb_dcb::{
    DcbError, DcbEventStoreAsync, DcbQuery, DcbResult, DcbSequencedEvent, DcbSubscriptionAsync,
};

/// A subscription, event by event.
struct Events {
    inner: Box<dyn DcbSubscriptionAsync + Send + 'static>,
    pending: VecDeque<DcbSequencedEvent>,
}

impl Events {
    async fn of(
        client: &AsyncUmaDbClient,
        query: Option<DcbQuery>,
        after: Option<u64>,
    ) -> DcbResult<Self> {
        let inner = client.subscribe(query, after).await?;
        Ok(Self { inner, pending: VecDeque::new() })
    }

    async fn next(&mut self) -> DcbResult<u64> {
        while self.pending.is_empty() {
            self.pending.extend(soon("an event", self.inner.next_batch()).await?);
        }
        Ok(number(&self.pending.pop_front().unwrap()))
    }
}

#[tokio::test]
async fn catch_up_and_go_on_live() -> Outcome {
    let Some(server) = Server::start("umadb::subscriptions::live") else { return Ok(()) };
    let client = client(&server).await?;
    let mut empty = Events::of(&client, None, None).await?;
    let mut at = Vec::new();
    for number in 0..10 {
        at.push(client.append(vec![event("placed", &["o:1"], number)], None, None).await?);
    }
    let mut start = Events::of(&client, None, None).await?;
    let mut after = Events::of(&client, None, Some(at[6])).await?;
    let mut end = Events::of(&client, None, Some(at[9])).await?;
    for number in 0..10 {
        assert_eq!(empty.next().await?, number);
        assert_eq!(start.next().await?, number);
    }
    for number in 7..10 {
        assert_eq!(after.next().await?, number);
    }
    for number in 10..20 {
        client.append(vec![event("placed", &["o:1"], number)], None, None).await?;
        for subscription in [&mut empty, &mut start, &mut after, &mut end] {
            assert_eq!(subscription.next().await?, number);
        }
    }
    Ok(())
}

#[tokio::test]
async fn show_what_matches() -> Outcome {
    let Some(server) = Server::start("umadb::subscriptions::query") else { return Ok(()) };
    let client = client(&server).await?;
    let mut orders = Events::of(&client, Some(query(&["placed"], &["o:1"])), None).await?;
    for number in 0..6 {
        let order = format!("o:{}", number % 2);
        let kind = if number < 4 { "placed" } else { "paid" };
        client.append(vec![event(kind, &[&order], number)], None, None).await?;
    }
    client.append(vec![event("placed", &["o:1"], 99)], None, None).await?;
    for expect in [1, 3, 99] {
        assert_eq!(orders.next().await?, expect);
    }
    Ok(())
}

#[tokio::test]
async fn wait_where_there_is_nothing_and_can_be_cancelled() -> Outcome {
    let Some(server) = Server::start("umadb::subscriptions::cancel") else { return Ok(()) };
    let client = client(&server).await?;
    let mut subscription = client.subscribe(None, None).await?;
    let nothing = subscription.next_batch_timeout(Duration::from_millis(200)).await;
    assert!(
        matches!(&nothing, Err(DcbError::Timeout())) || nothing.as_ref().is_ok_and(Vec::is_empty),
        "{nothing:?}"
    );
    subscription.cancel();
    let cancelled = soon("the end", subscription.next_batch()).await;
    assert!(matches!(cancelled, Err(DcbError::CancelledByUser())), "{cancelled:?}");
    Ok(())
}
