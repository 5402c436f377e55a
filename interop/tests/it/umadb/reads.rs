//! Reads by query: both directions, from any position, limited, in batches; the head; and whether
//! the server says that it serves.

use super::{client, event, item, number, numbers, positions, query, read, url};
use crate::{Outcome, server::Server, soon};
use umadb_client::{AsyncUmaDbClient, ServingStatus, UmaDbClient};
use umadb_dcb::{DcbEventStoreAsync, DcbEventStoreSync, DcbQuery, DcbResult};

/// Ten events of two types and two orders.
async fn prepare(client: &AsyncUmaDbClient) -> DcbResult<Vec<u64>> {
    let mut positions = Vec::new();
    for number in 0..10 {
        let kind = if number < 6 { "placed" } else { "paid" };
        let order = format!("o:{}", number % 2);
        let event = event(kind, &[&order, "shop"], number);
        positions.push(client.append(vec![event], None, None).await?);
    }
    Ok(positions)
}

#[tokio::test]
async fn by_query() -> Outcome {
    let Some(server) = Server::start("umadb::reads::query") else { return Ok(()) };
    let client = client(&server).await?;
    prepare(&client).await?;
    let table: [(Option<DcbQuery>, &[u64]); 8] = [
        (None, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Some(DcbQuery::new()), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Some(query(&["paid"], &[])), &[6, 7, 8, 9]),
        (Some(query(&["paid", "placed"], &["o:0"])), &[0, 2, 4, 6, 8]),
        (Some(query(&["paid"], &["o:1", "shop"])), &[7, 9]),
        (Some(query(&["paid"], &["o:1"]).item(item(&["placed"], &["o:0"]))), &[0, 2, 4, 7, 9]),
        (Some(query(&[], &["o:0", "o:1"])), &[]),
        (Some(query(&["sent"], &[])), &[]),
    ];
    for (query, expect) in table {
        let shown = format!("{query:?}");
        assert_eq!(numbers(&read(&client, query).await?), expect, "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn from_any_position_in_both_directions() -> Outcome {
    let Some(server) = Server::start("umadb::reads::direction") else { return Ok(()) };
    let client = client(&server).await?;
    let at = prepare(&client).await?;
    let read = async |start, backwards, limit| -> DcbResult<Vec<u64>> {
        Ok(positions(&client.read_with_head(None, start, backwards, limit).await?.0))
    };
    let reversed = |events: &[u64]| events.iter().rev().copied().collect::<Vec<_>>();
    assert_eq!(read(None, true, None).await?, reversed(&at));
    assert_eq!(read(Some(at[4]), false, None).await?, at[4..]);
    assert_eq!(read(Some(at[4]), false, Some(2)).await?, at[4..6]);
    assert_eq!(read(Some(at[4]), true, None).await?, reversed(&at[..=4]));
    assert_eq!(read(Some(at[4]), true, Some(2)).await?, [at[4], at[3]]);
    assert_eq!(read(None, true, Some(1)).await?, [at[9]]);
    assert_eq!(read(Some(at[9] + 1), false, None).await?, [0; 0]);
    Ok(())
}

#[tokio::test]
async fn the_head_is_what_a_condition_may_go_on_from() -> Outcome {
    let Some(server) = Server::start("umadb::reads::head") else { return Ok(()) };
    let client = client(&server).await?;
    let (events, head) = client.read_with_head(None, None, false, None).await?;
    assert_eq!((events.len(), head), (0, None));
    let at = prepare(&client).await?;
    let none = Some(query(&["sent"], &[]));
    let (events, head) = client.read_with_head(none, None, false, None).await?;
    assert_eq!((events.len(), head), (0, Some(at[9])));
    // With a limit, the last event that came: what follows was not seen.
    let (_, head) = client.read_with_head(None, None, false, Some(3)).await?;
    assert_eq!(head, Some(at[2]));
    Ok(())
}

#[tokio::test]
async fn batches_are_as_large_as_the_client_says() -> Outcome {
    let Some(server) = Server::start("umadb::reads::batches") else { return Ok(()) };
    prepare(&client(&server).await?).await?;
    let client = UmaDbClient::new(url(&server)).batch_size(4).connect_async().await?;
    let mut response = client.read(None, None, false, None).await?;
    let mut sizes = Vec::new();
    loop {
        let batch = response.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        sizes.push(batch.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 10);
    assert!(sizes.iter().all(|size| *size <= 4), "{sizes:?}");
    Ok(())
}

#[tokio::test]
async fn more_than_one_page_comes_whole() -> Outcome {
    let Some(server) = Server::start("umadb::reads::large") else { return Ok(()) };
    let client = client(&server).await?;
    for start in (0..12_000).step_by(4_000) {
        let events = (start..start + 4_000).map(|number| event("placed", &["o:1"], number));
        client.append(events.collect(), None, None).await?;
    }
    let found = read(&client, Some(query(&["placed"], &["o:1"]))).await?;
    assert_eq!(numbers(&found), (0..12_000).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn without_async() -> Outcome {
    let Some(server) = Server::start("umadb::reads::sync") else { return Ok(()) };
    let client = UmaDbClient::new(url(&server)).connect()?;
    assert_eq!(client.head()?, None);
    let last = client.append(vec![event("placed", &["o:1"], 7)], None, None)?;
    let mut response = client.read(Some(query(&[], &["o:1"])), None, false, None)?;
    let found = response.next().unwrap()?;
    assert_eq!((number(&found), found.position), (7, last));
    assert!(response.next().is_none());
    assert_eq!(response.head()?, Some(last));
    let mut subscription = client.subscribe(None, None)?;
    assert_eq!(number(&subscription.next().unwrap()?), 7);
    subscription.cancel();
    Ok(())
}

#[tokio::test]
async fn the_server_says_that_it_serves() -> Outcome {
    let Some(server) = Server::start("umadb::reads::health") else { return Ok(()) };
    let client = client(&server).await?;
    for service in ["", "umadb.v1.DCB"] {
        assert_eq!(client.check_health(service).await?, ServingStatus::Serving, "{service:?}");
    }
    let mut watch = client.watch_health("").await?;
    assert_eq!(soon("the first state", watch.next()).await?, Some(ServingStatus::Serving));
    Ok(())
}
