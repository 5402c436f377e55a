//! A server over a replica: what it says of itself, and when it calls that degraded.

use crate::harness::*;
use factum_core::{Append, EventData, EventStore, EventType, StreamName, Uuid};
use factum_log::{
    LogStore, Options, Reader,
    copy::{Held, Inventory, Source, SourceError},
    store::Follow,
};
use factum_proto::event_store::client::{
    Empty,
    gossip::{gossip_client::GossipClient, member_info::VNodeState},
};
use std::{
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A source that goes away.
struct Away(Reader, AtomicBool);

impl Source for Away {
    fn name(&self, of: &Held) -> PathBuf {
        self.0.name(of)
    }

    fn inventory(&self) -> Result<Inventory, SourceError> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(SourceError::Unreachable { why: "it is away".into() }),
            false => self.0.inventory(),
        }
    }

    fn piece(&self, of: &Held, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        self.0.piece(of, range)
    }
}

async fn get(server: &Running, path: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

async fn until_it_says(server: &Running, parts: &[&str]) {
    let mut said = String::new();
    for _ in 0..2_000 {
        said = get(server, "/health/ready").await;
        if parts.iter().all(|part| said.contains(part)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{parts:?} is never in {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_says_what_it_is_and_how_far_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&dir.path().join("store"), Options::default()).unwrap();
    let event = EventData::new(Uuid::from_u128(1), EventType::new("t").unwrap(), "1");
    let append = Append::to(StreamName::new("a-1").unwrap(), [event]);
    soon(store.append(append)).await.unwrap();
    let source = Arc::new(Away(store.reader(), AtomicBool::new(false)));
    let follow = Follow { source: source.clone(), name: "factum://source:1".into() };
    let log = LogStore::follow(&dir.path().join("copy"), Options::default(), follow).unwrap();
    let server = Running::over(log, |config| config.limits.replica_lag_max = Duration::ZERO).await;
    let level = [
        r#""status":"following""#,
        r#""head":1"#,
        r#""source":"factum://source:1""#,
        r#""lagPositions":0,"lagSeconds":0"#,
    ];
    until_it_says(&server, &level).await;
    assert!(get(&server, "/info").await.contains(r#""state":"replica""#));
    let metrics = get(&server, "/metrics").await;
    for line in ["factum_replica_lag_positions 0", "factum_replica_connected 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let mut gossip = GossipClient::new(server.channel().await);
    let info = soon(gossip.read(Empty {})).await.unwrap().into_inner();
    assert_eq!(info.members[0].state(), VNodeState::ReadOnlyReplica);

    source.1.store(true, Ordering::SeqCst);
    let away = [r#""status":"degraded""#, r#""trouble":"the source does not answer: it is away"#];
    until_it_says(&server, &away).await;
    source.1.store(false, Ordering::SeqCst);
    until_it_says(&server, &level).await;
}
