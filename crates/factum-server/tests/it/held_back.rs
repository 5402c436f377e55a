//! A client that holds back the next part of each call until the one before is acknowledged.
#![cfg(target_os = "linux")]

use crate::harness::{ANY, Running, append, soon};
use factum_proto::event_store::client::streams::streams_client::StreamsClient;
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

const CALLS: u128 = 20;

async fn without_nodelay(server: &Running) -> StreamsClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    StreamsClient::new(soon(endpoint.tcp_nodelay(false).connect()).await.unwrap())
}

/// How many calls waited for an acknowledgement.
async fn slow(mut call: impl AsyncFnMut(u128)) -> u32 {
    let mut slow = 0;
    for id in 1..=CALLS {
        let began = Instant::now();
        call(id).await;
        slow += u32::from(began.elapsed() >= Duration::from_millis(35));
    }
    slow
}

/// Cause: the crate `kurrentdb` does not set TCP_NODELAY, so that each of its calls waited 40 ms
/// for the acknowledgement that the system delays. Fix: from its second call on it comes at once.
#[tokio::test]
async fn a_client_without_nodelay_waits_once() {
    let server = Running::start().await;
    let client = without_nodelay(&server).await;
    let slow = slow(async |id| {
        append(&mut client.clone(), "s-1", ANY, [id]).await;
    })
    .await;
    // The others have a busy machine's excuse.
    assert!(slow <= 5, "{slow} of {CALLS} calls waited");
}
