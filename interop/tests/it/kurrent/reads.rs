//! Reads of a stream and of `$all`: both directions, from any point, limited.

use super::{append, client, event, events, from, read, read_all, read_with, revisions};
use crate::{Outcome, server::Server};
use kurrentdb::{
    Client, Error, Position, ReadAllOptions, ReadEvent, ReadStreamOptions, StreamPosition,
};

fn options() -> ReadStreamOptions {
    ReadStreamOptions::default()
}

#[tokio::test]
async fn of_a_stream_from_any_point() -> Outcome {
    let Some(server) = Server::start("kurrent::reads::stream") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..10)).await?;
    append(&client, "order-2", events("placed", 0..3)).await?;
    let table: [(ReadStreamOptions, Vec<u64>); 9] = [
        (options(), (0..10).collect()),
        (options().max_count(4), (0..4).collect()),
        (options().position(from(6)), (6..10).collect()),
        (options().position(from(6)).max_count(2), vec![6, 7]),
        (options().position(from(10)), vec![]),
        (options().position(StreamPosition::End), (0..10).rev().collect()),
        (options().position(StreamPosition::End).max_count(1), vec![9]),
        (options().position(from(3)).backwards(), vec![3, 2, 1, 0]),
        (options().position(from(99)).backwards().max_count(2), vec![9, 8]),
    ];
    for (number, (options, expect)) in table.into_iter().enumerate() {
        let found = read_with(&client, "order-1", &options).await?;
        assert_eq!(revisions(&found), expect, "row {number}");
    }
    Ok(())
}

#[tokio::test]
async fn of_a_stream_say_where_it_begins_and_ends() -> Outcome {
    let Some(server) = Server::start("kurrent::reads::ends") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..10)).await?;
    let mut stream = client.read_stream("order-1", &options().max_count(2)).await?;
    let (mut first, mut last) = (None, None);
    while let Some(event) = stream.next_read_event().await? {
        match event {
            ReadEvent::FirstStreamPosition(revision) => first = Some(revision),
            ReadEvent::LastStreamPosition(revision) => last = Some(revision),
            _ => {}
        }
    }
    assert_eq!(last, Some(9));
    assert!(matches!(first, None | Some(0)), "{first:?}");
    Ok(())
}

#[tokio::test]
async fn of_a_stream_that_is_not_there_are_the_clients_own_error() -> Outcome {
    let Some(server) = Server::start("kurrent::reads::missing") else { return Ok(()) };
    let client = client(&server);
    for options in [options(), options().position(StreamPosition::End), options().position(from(5))]
    {
        let found = read_with(&client, "order-1", &options).await;
        assert!(matches!(found, Err(Error::ResourceNotFound)), "{found:?}");
    }
    Ok(())
}

/// The positions of ten events in three streams, in order.
async fn ten(client: &Client) -> kurrentdb::Result<Vec<Position>> {
    let mut positions = Vec::new();
    for number in 0..10 {
        let stream = format!("order-{}", number % 3);
        positions.push(append(client, &stream, vec![event("placed", number)]).await?.position);
    }
    Ok(positions)
}

#[tokio::test]
async fn of_all_from_any_position() -> Outcome {
    let Some(server) = Server::start("kurrent::reads::all") else { return Ok(()) };
    let client = client(&server);
    let at = ten(&client).await?;
    let options = ReadAllOptions::default;
    let reversed = |range: std::ops::Range<usize>| at[range].iter().rev().copied().collect();
    let table: [(ReadAllOptions, Vec<Position>); 8] = [
        (options(), at.clone()),
        (options().max_count(3), at[..3].to_vec()),
        // Forwards, an event at the position comes; backwards, only what is before it.
        (options().position(from(at[4])), at[4..].to_vec()),
        (options().position(from(at[4])).max_count(2), at[4..6].to_vec()),
        (options().position(from(at[4])).backwards(), reversed(0..4)),
        (options().position(from(at[4])).backwards().max_count(1), vec![at[3]]),
        (options().position(StreamPosition::End), reversed(0..10)),
        (options().position(from(Position::start())), at.clone()),
    ];
    for (number, (options, expect)) in table.into_iter().enumerate() {
        let found = read_all(&client, &options).await?;
        let found: Vec<_> = found.iter().map(|read| read.get_original_event().position).collect();
        assert_eq!(found, expect, "row {number}");
    }
    Ok(())
}

#[tokio::test]
async fn page_by_page_give_every_event_once() -> Outcome {
    let Some(server) = Server::start("kurrent::reads::pages") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..1_000)).await?;
    let mut found = Vec::new();
    let mut position = Position::start();
    loop {
        // The event at the position is there again, from the second page on.
        let options = ReadAllOptions::default().position(from(position)).max_count(101);
        let page = read_all(&client, &options).await?;
        let new = page.into_iter().skip(usize::from(!found.is_empty()));
        let before = found.len();
        found.extend(new.map(|event| {
            position = event.get_original_event().position;
            event.get_original_event().revision
        }));
        if found.len() == before {
            break;
        }
    }
    assert_eq!(found, (0..1_000).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn of_more_than_one_page_of_the_store() -> Outcome {
    let Some(server) = Server::start("kurrent::reads::large") else { return Ok(()) };
    let client = client(&server);
    for start in (0..20_000).step_by(5_000) {
        append(&client, "order-1", events("placed", start..start + 5_000)).await?;
    }
    assert_eq!(revisions(&read(&client, "order-1").await?), (0..20_000).collect::<Vec<_>>());
    let backwards = read_with(&client, "order-1", &options().position(StreamPosition::End)).await?;
    assert_eq!(revisions(&backwards), (0..20_000).rev().collect::<Vec<_>>());
    Ok(())
}
