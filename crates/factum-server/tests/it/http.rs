//! HTTP/1.1 on the same port.

use crate::harness::*;
use bytes::Bytes;
use factum_core::{AnyStore, ReadError};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// (Status, body) of a request by hand.
async fn ask(server: &Running, method: &str, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn health_is_told() {
    let server = Running::start().await;
    assert_eq!(ask(&server, "GET", "/health/live").await, (204, String::new()));
    assert_eq!(ask(&server, "GET", "/health/live?liveCode=200").await.0, 200);
    assert_eq!(ask(&server, "GET", "/health/live?liveCode=7").await.0, 204);
    let ready = ask(&server, "GET", "/health/ready").await;
    assert_eq!(ready, (200, r#"{"status":"ready","head":0}"#.into()));
    let mut store = Held::new();
    store.read_error = Some(ReadError::Unavailable { why: "closed".into() });
    let server = Running::with(AnyStore::new(store), |_| ()).await;
    let (status, body) = ask(&server, "GET", "/health/ready").await;
    assert!(status == 503 && body.contains("closed"), "{status} {body}");
}

#[tokio::test]
async fn http_2_is_answered_too() {
    let server = Running::start().await;
    let socket = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), socket);
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{}/health/ready", server.address);
    let request = hyper::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = soon(client.send_request(request)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
}

#[tokio::test]
async fn info_is_json() {
    let server = Running::start().await;
    let (status, body) = ask(&server, "GET", "/info").await;
    assert_eq!(status, 200);
    for part in [r#""name":"factum""#, r#""esVersion":"26.1.0""#, r#""queryChecks":true"#] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!(ask(&server, "HEAD", "/info").await, (200, String::new()));
}

#[tokio::test]
async fn metrics_count_calls_and_tell_the_stores_numbers() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    read(&mut client, of_all(ALL_START)).await.unwrap();
    let line = |method, code| {
        format!(
            "factum_calls_total{{service=\"event_store.client.streams.Streams\",\
             method=\"{method}\",code=\"{code}\"}} 1"
        )
    };
    until(async || {
        let (_, body) = ask(&server, "GET", "/metrics").await;
        body.contains(&line("Append", "OK")) && body.contains(&line("Read", "OK"))
    })
    .await;
    let (status, body) = ask(&server, "GET", "/metrics").await;
    assert_eq!(status, 200);
    for part in [
        "# HELP factum_head_position Position of the last event",
        "factum_head_position 3",
        "factum_server_connections 2",
        "factum_server_refused_total 0",
        "factum_call_seconds_count{",
        "# EOF",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_say_what_there_is() {
    let server = Running::start().await;
    let (status, body) = ask(&server, "GET", "/nothing").await;
    assert!(status == 404 && body.contains("/health/ready"), "{body}");
    assert_eq!(ask(&server, "POST", "/info").await.0, 405);
    assert_eq!(ask(&server, "DELETE", "/metrics").await.0, 405);
}

/// Cause: the encoder ends counters in `_total`, and those of the engine were called so already.
/// Fix: it is said once.
#[tokio::test]
async fn metrics_of_an_engine_have_its_counters_once_and_its_histograms() {
    let dir = tempfile::tempdir().unwrap();
    let store = factum_log::LogStore::open(dir.path(), factum_log::Options::default()).unwrap();
    let server = Running::with(AnyStore::new(store), |_| ()).await;
    append(&mut server.streams().await, "a-1", ANY, 1..=3).await;
    let (_, body) = ask(&server, "GET", "/metrics").await;
    for part in [
        "# TYPE factum_appends counter",
        "factum_appends_total 1",
        "# TYPE factum_append_seconds histogram",
        "factum_append_seconds_count 1",
        "factum_append_seconds_bucket{le=\"0.000001\"} 0",
        "factum_append_seconds_bucket{le=\"+Inf\"} 1",
        "factum_subscriber_lag_events_max 0",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert!(!body.contains("_total_total"), "{body}");
}

/// A store of which a sealed file rots serves what is whole, and says that it is degraded.
#[tokio::test]
async fn damage_that_was_found_degrades() {
    let dir = tempfile::tempdir().unwrap();
    let options = factum_log::Options { segment_bytes: 64 << 10, ..factum_log::Options::default() };
    let log = factum_log::LogStore::open(dir.path(), options).unwrap();
    let reader = log.reader();
    let server = Running::over(log, |_| ()).await;
    for first in [1, 901, 1801] {
        append(&mut server.streams().await, "a-1", ANY, first..=first + 899).await;
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().count() > 2, "a segment is sealed");
    assert!(reader.scrub(&factum_log::rewrite::Stop::default()));
    assert!(ask(&server, "GET", "/health/ready").await.1.contains("\"ready\""));
    let path = dir.path().join("00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    assert!(reader.scrub(&factum_log::rewrite::Stop::default()));
    let (status, body) = ask(&server, "GET", "/health/ready").await;
    assert!(
        status == 200 && body.contains("degraded") && body.contains("\"damagedFiles\":1"),
        "{body}"
    );
}
