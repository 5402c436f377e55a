//! Every kind of expected version, against a stream in every state.

use super::{append, client, event, events, expecting, read};
use crate::{Outcome, server::Server};
use kurrentdb::{
    AppendToStreamOptions, Client, CurrentRevision, DeleteStreamOptions, Error, StreamState,
    TombstoneStreamOptions,
};

/// What comes of an append, told shortly.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Written, with the stream then at this revision.
    At(u64),
    /// Refused: the stream is at this one.
    Wrong(CurrentRevision),
    /// Refused: the stream is deleted.
    Deleted,
}

use CurrentRevision::{Current, NoStream as Nothing};
use StreamState::{Any, NoStream, StreamExists, StreamRevision};

/// Brings a stream of this name into a state.
async fn prepare(client: &Client, stream: &str, state: &str) -> kurrentdb::Result<()> {
    if state == "missing" {
        return Ok(());
    }
    append(client, stream, events("placed", 0..2)).await?;
    match state {
        "deleted" => {
            _ = client.delete_stream(stream, &DeleteStreamOptions::default()).await?;
        }
        "tombstoned" => {
            _ = client.tombstone_stream(stream, &TombstoneStreamOptions::default()).await?;
        }
        _ => {}
    }
    Ok(())
}

fn told(stream: &str, asked: StreamState, result: kurrentdb::Result<u64>) -> Told {
    match result {
        Ok(revision) => Told::At(revision),
        Err(Error::ResourceDeleted) => Told::Deleted,
        Err(Error::WrongExpectedVersion { expected, current }) => {
            assert_eq!(expected, asked, "{stream}: what was expected comes back");
            Told::Wrong(current)
        }
        Err(other) => panic!("{stream}: {other:?}"),
    }
}

async fn check(server: &Server, state: &str, expect: &[(StreamState, Told)]) -> Outcome {
    let client = client(server);
    for (expected, outcome) in expect {
        let stream = format!("{state}-{expected:?}");
        prepare(&client, &stream, state).await?;
        let written =
            client.append_to_stream(&*stream, &expecting(*expected), event("paid", 9)).await;
        let written = written.map(|written| written.next_expected_version);
        assert_eq!(told(&stream, *expected, written), *outcome, "{stream}");
    }
    Ok(())
}

#[tokio::test]
async fn of_a_stream_that_is_not_there() -> Outcome {
    let Some(server) = Server::start("kurrent::expectations::missing") else { return Ok(()) };
    let expect = [
        (Any, Told::At(0)),
        (NoStream, Told::At(0)),
        (StreamExists, Told::Wrong(Nothing)),
        (StreamRevision(0), Told::Wrong(Nothing)),
        (StreamRevision(7), Told::Wrong(Nothing)),
    ];
    check(&server, "missing", &expect).await
}

#[tokio::test]
async fn of_a_stream_with_two_events() -> Outcome {
    let Some(server) = Server::start("kurrent::expectations::two") else { return Ok(()) };
    let expect = [
        (Any, Told::At(2)),
        (NoStream, Told::Wrong(Current(1))),
        (StreamExists, Told::At(2)),
        (StreamRevision(0), Told::Wrong(Current(1))),
        (StreamRevision(1), Told::At(2)),
        (StreamRevision(2), Told::Wrong(Current(1))),
        (StreamRevision(7), Told::Wrong(Current(1))),
    ];
    check(&server, "two", &expect).await
}

#[tokio::test]
async fn of_a_deleted_stream() -> Outcome {
    let Some(server) = Server::start("kurrent::expectations::deleted") else { return Ok(()) };
    let expect = [
        (Any, Told::At(2)),
        (NoStream, Told::At(2)),
        (StreamRevision(0), Told::Wrong(Current(1))),
        (StreamRevision(1), Told::At(2)),
    ];
    check(&server, "deleted", &expect).await
}

#[tokio::test]
async fn that_it_exists_of_a_deleted_stream() -> Outcome {
    let Some(server) = Server::start("kurrent::expectations::exists") else { return Ok(()) };
    check(&server, "deleted", &[(StreamExists, Told::Deleted)]).await
}

#[tokio::test]
async fn of_a_tombstoned_stream() -> Outcome {
    let Some(server) = Server::start("kurrent::expectations::tombstoned") else { return Ok(()) };
    let expect = [
        (Any, Told::Deleted),
        (NoStream, Told::Deleted),
        (StreamExists, Told::Deleted),
        (StreamRevision(0), Told::Deleted),
        (StreamRevision(1), Told::Deleted),
    ];
    check(&server, "tombstoned", &expect).await
}

#[tokio::test]
async fn of_two_writers_one_wins() -> Outcome {
    let Some(server) = Server::start("kurrent::expectations::race") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..1)).await?;
    for revision in 0..50 {
        let options: AppendToStreamOptions = expecting(StreamRevision(revision));
        let (one, other) = tokio::join!(
            client.append_to_stream("order-1", &options, event("one", revision)),
            client.append_to_stream("order-1", &options, event("other", revision)),
        );
        let results = [one, other];
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "{results:?}");
    }
    assert_eq!(read(&client, "order-1").await?.len(), 51);
    Ok(())
}
