//! What becomes of calls when the server is not there, goes away, comes back, or is not heard.

#![allow(clippy::unwrap_used)]

use crate::{
    proxy::Proxy,
    support::{RUNTIME, Running, free_address},
};
use factum_client::{ConnectError, FactumClient, KurrentClient};
use factum_core::{
    AnyStore, Append, AppendError, Batch, EventData, EventStore, EventType, MemoryStore, Position,
    Query, Read, ReadError, Receipt, Select, StreamName, Subscribe, Uuid, next_batch,
};
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

fn event(id: u128, bytes: usize) -> EventData {
    EventData::new(Uuid::from_u128(id), EventType::new("happened").unwrap(), vec![b'x'; bytes])
}

fn one(id: u128) -> Append {
    Append::to(stream("a-1"), [event(id, 2)])
}

/// Over both protocols: runs the test with a way to connect to an address.
fn over_both(test: impl AsyncFn(Connect)) {
    for connect in [Connect::Factum, Connect::Kurrent] {
        RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, test(connect)).await.unwrap() });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connect {
    Factum,
    Kurrent,
}

impl Connect {
    async fn to(self, address: SocketAddr) -> Result<AnyStore, ConnectError> {
        match self {
            Self::Factum => {
                FactumClient::connect(&format!("factum://{address}")).await.map(AnyStore::new)
            }
            Self::Kurrent => {
                let url = format!("esdb://{address}?tls=false");
                KurrentClient::connect(&url).await.map(AnyStore::new)
            }
        }
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind(free_address()).unwrap().local_addr().unwrap()
}

#[test]
fn where_nobody_is_the_error_says_how_to_start_somebody() {
    over_both(async |connect: Connect| {
        let address = nobody();
        let error = connect.to(address).await.err().unwrap();
        assert!(matches!(&error, ConnectError::Unreachable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("no server at {address}: start one with `factum dev`")));
        assert!(text.contains("refused"), "the cause is told: {text}");
    });
}

#[test]
fn who_speaks_another_protocol_is_told_from_a_server() {
    over_both(async |connect: Connect| {
        let listener = tokio::net::TcpListener::bind(free_address()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let other = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            while let Ok((mut socket, _)) = listener.accept().await {
                _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        let error = connect.to(address).await.err().unwrap();
        other.abort();
        assert!(matches!(&error, ConnectError::OtherProtocol { .. }), "{error:?}");
    });
}

#[test]
fn without_a_server_nothing_is_done_and_with_it_all_goes_on() {
    over_both(async |connect: Connect| {
        let memory = MemoryStore::new();
        let running = Running::start(memory.clone()).await;
        let address = running.address;
        let store = connect.to(address).await.unwrap();
        store.append(one(1)).await.unwrap();
        running.stop().await;

        let refused = store.append(one(2)).await;
        assert!(
            matches!(&refused, Err(AppendError::Unavailable { why }) if
            why.contains(&format!("no server at {address}"))),
            "{connect:?}: {refused:?}"
        );
        let refused = store.read(Read::query(Query::All)).await.err();
        assert!(matches!(&refused, Some(ReadError::Unavailable { .. })), "{refused:?}");
        assert_eq!(memory.head().await.unwrap(), Position(1));

        let running = Running::start_at(memory, address).await;
        assert_eq!(store.append(one(2)).await.unwrap().position, Position(2));
        let events = store.read(Read::stream(stream("a-1"))).await.unwrap().events().await.unwrap();
        assert_eq!(events.len(), 2);
        running.stop().await;
    });
}

/// Appends, and loses the answer once the append is written.
async fn lose_the_answer(connect: Connect, append: Append) -> (Receipt, Proxy, Running) {
    let memory = MemoryStore::new();
    let running = Running::start(memory.clone()).await;
    let proxy = Proxy::to(running.address).await;
    let store = connect.to(proxy.address).await.unwrap();
    // The call that appends share is open, as is usual.
    store.append(Append::to(stream("b-1"), [event(99, 2)])).await.unwrap();

    proxy.mute(true);
    let (at, waiting) = (store.clone(), append.clone());
    let waiting = tokio::spawn(async move { at.append(waiting).await });
    let read = Read { at_least: Some(Position(2)), ..Read::query(Query::All) };
    memory.read(read).await.unwrap();
    proxy.cut();
    let lost = waiting.await.unwrap();
    assert!(matches!(&lost, Err(AppendError::Unknown { .. })), "{connect:?}: {lost:?}");
    assert!(lost.is_err_and(|error| error.is_retryable()));

    proxy.mute(false);
    let receipt = store.append(append).await.unwrap();
    assert_eq!(memory.head().await.unwrap(), Position(2), "it is there once");
    (receipt, proxy, running)
}

#[test]
fn an_append_without_an_answer_is_unknown_and_its_retry_the_first() {
    over_both(async |connect: Connect| {
        let (receipt, ..) = lose_the_answer(connect, one(1)).await;
        assert_eq!((receipt.position, receipt.replayed), (Position(2), true));
    });
}

#[test]
fn so_is_a_large_append_on_a_call_of_its_own() {
    over_both(async |connect: Connect| {
        // Larger than what goes on the shared call, and no larger than what HTTP/2 sends unheard.
        let large = Append::to(stream("a-1"), [event(1, 300 * 1024)]);
        let (receipt, ..) = lose_the_answer(connect, large).await;
        assert_eq!((receipt.position, receipt.replayed), (Position(2), true));
    });
}

#[test]
fn of_many_appends_in_flight_each_is_answered_when_the_connection_breaks() {
    over_both(async |connect: Connect| {
        let memory = MemoryStore::new();
        let running = Running::start(memory.clone()).await;
        let proxy = Proxy::to(running.address).await;
        let store = connect.to(proxy.address).await.unwrap();
        proxy.mute(true);
        let appends: Vec<_> = (1..=200)
            .map(|id| {
                let store = store.clone();
                tokio::spawn(async move { store.append(one(id)).await })
            })
            .collect();
        let read = Read { at_least: Some(Position(1)), ..Read::query(Query::All) };
        memory.read(read).await.unwrap();
        // The network comes back, but those connections do not.
        proxy.mute(false);
        proxy.cut();
        let (mut done, mut unknown) = (0, 0);
        for append in appends {
            match append.await.unwrap() {
                // Those that had not been sent may have found the new connection.
                Ok(_) => done += 1,
                Err(AppendError::Unknown { .. }) => unknown += 1,
                Err(AppendError::Unavailable { .. }) => {}
                Err(other) => panic!("{connect:?}: {other:?}"),
            }
        }
        let stored = memory.head().await.unwrap().0;
        assert!((done..=done + unknown).contains(&stored), "{done}, {unknown}, {stored}");
        assert!(unknown > 0, "the append that was seen in the store had no answer");
    });
}

async fn next(batches: &mut factum_core::store::DynBatches) -> Result<Batch, ReadError> {
    next_batch(batches).await.expect("a subscription has no end")
}

#[test]
fn a_subscription_that_loses_its_server_says_so_and_resumes_after_its_checkpoint() {
    over_both(async |connect: Connect| {
        let memory = MemoryStore::new();
        let running = Running::start(memory.clone()).await;
        let address = running.address;
        let store = connect.to(address).await.unwrap();
        store.append(one(1)).await.unwrap();
        let follow =
            |after| store.subscribe(Subscribe { select: Select::Query(Query::All), after });
        let mut batches = follow(None).await.unwrap();
        let mut through = Position::START;
        while through < Position(1) {
            through = next(&mut batches).await.unwrap().through;
        }
        running.stop().await;
        let ended = loop {
            match next(&mut batches).await {
                Ok(batch) => assert!(batch.events.is_empty(), "{batch:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&ended, ReadError::Unavailable { .. }), "{connect:?}: {ended:?}");
        assert!(next_batch(&mut batches).await.is_none(), "nothing comes after an error");

        let running = Running::start_at(memory, address).await;
        store.append(one(2)).await.unwrap();
        let mut batches = follow(Some(through.0)).await.unwrap();
        let events = loop {
            let batch = next(&mut batches).await.unwrap();
            if !batch.events.is_empty() {
                break batch.events;
            }
        };
        assert_eq!(events.first().map(|event| event.position()), Some(Position(2)));
        drop(batches);
        running.stop().await;
    });
}

#[test]
fn stalled_readers_hold_up_nobody() {
    over_both(async |connect: Connect| {
        let memory = MemoryStore::new();
        for id in 1..=16 {
            let large = Append::to(stream("large-1"), [event(id, 256 * 1024)]);
            memory.append(large).await.unwrap();
        }
        let running = Running::start(memory).await;
        let store = connect.to(running.address).await.unwrap();
        // Each has 4 MiB coming, and looks at one batch of it.
        let mut stalled = Vec::new();
        for _ in 0..32 {
            let mut reading = store.read(Read::stream(stream("large-1"))).await.unwrap();
            next_batch(&mut reading.batches).await.unwrap().unwrap();
            stalled.push(reading);
        }
        for id in 1..=20 {
            store.append(one(id)).await.unwrap();
        }
        let events = store.read(Read::stream(stream("a-1"))).await.unwrap().events().await.unwrap();
        assert_eq!(events.len(), 20);
        for reading in stalled {
            assert_eq!(reading.events().await.unwrap().len(), 15, "none of it is lost");
        }
        running.stop().await;
    });
}

#[test]
fn futures_run_in_any_executor_while_the_runtime_lives() {
    for connect in [Connect::Factum, Connect::Kurrent] {
        let (store, running) = RUNTIME.block_on(async {
            let running = Running::start(MemoryStore::new()).await;
            (connect.to(running.address).await.unwrap(), running)
        });
        factum_testkit::block_on(Box::pin(async move {
            let large = Append::to(stream("a-1"), [event(2, 1 << 20)]);
            store.append(one(1)).await.unwrap();
            store.append(large).await.unwrap();
            let read = store.read(Read::stream(stream("a-1"))).await.unwrap();
            assert_eq!(read.events().await.unwrap().len(), 2);
        }));
        RUNTIME.block_on(running.stop());
    }
}
