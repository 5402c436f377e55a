//! A client that holds back the second part of each call until the first is acknowledged.

use crate::harness::{ANY, Running, append, soon};
use factum_proto::event_store::client::streams::streams_client::StreamsClient;
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;

/// Cause: the crate `kurrentdb` does not set TCP_NODELAY, so that each of its calls waited 40 ms
/// for the acknowledgement that the system delays. Fix: from its second call on it comes at once.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_without_nodelay_waits_once() {
    const CALLS: u128 = 20;
    let server = Running::start().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = soon(endpoint.tcp_nodelay(false).connect()).await.unwrap();
    let mut client = StreamsClient::new(channel);
    let mut slow = 0;
    for id in 1..=CALLS {
        let began = Instant::now();
        append(&mut client, "s-1", ANY, [id]).await;
        slow += u32::from(began.elapsed() >= Duration::from_millis(35));
    }
    // The others have a busy machine's excuse.
    assert!(slow <= 5, "{slow} of {CALLS} calls waited");
}
