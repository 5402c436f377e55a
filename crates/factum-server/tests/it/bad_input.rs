//! What no client should send: a clear refusal, nothing written, and the server goes on.

use crate::harness::*;
use bytes::{BufMut, Bytes, BytesMut};
use factum_core::{AnyStore, EventStore};
use factum_proto::event_store::client::{
    Empty, StreamIdentifier,
    streams::{
        AppendReq, ReadReq, append_req,
        read_req::{Options, options as opt},
    },
};
use factum_proto::factum::v1::HeadRequest;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, Request};

async fn check(requests: Vec<AppendReq>, code: Code, part: &str) {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let status = send(&mut client, requests.clone()).await.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(part), "{status} instead of {part:?}");
    assert_eq!(server.store.head().await.unwrap().0, 0, "nothing is written");
    append(&mut client, "a-1", ANY, [1]).await;
}

fn options_of(options: append_req::Options) -> AppendReq {
    AppendReq { content: Some(append_req::Content::Options(options)) }
}

#[tokio::test]
async fn an_append_begins_with_its_options_and_has_them_once() {
    let event = || proposed(1, "t", "1");
    let first = || options("a-1", ANY);
    check(vec![], Code::InvalidArgument, "options are missing").await;
    check(vec![event()], Code::InvalidArgument, "before the options").await;
    check(vec![first(), first()], Code::InvalidArgument, "twice").await;
    check(vec![first(), event(), first()], Code::InvalidArgument, "twice").await;
    check(vec![AppendReq { content: None }], Code::InvalidArgument, "content").await;
    check(vec![first(), AppendReq { content: None }], Code::InvalidArgument, "content").await;
    let unset = append_req::Options { stream_identifier: named("a"), ..Default::default() };
    check(vec![options_of(unset), event()], Code::InvalidArgument, "expected_stream_revision")
        .await;
    let nameless =
        append_req::Options { expected_stream_revision: Some(ANY), ..Default::default() };
    check(vec![options_of(nameless), event()], Code::InvalidArgument, "stream_identifier").await;
}

#[tokio::test]
async fn names_and_ids_must_be_some() {
    let event = || proposed(1, "t", "1");
    let long = "x".repeat(1_025);
    for (name, part) in [
        ("", "empty"),
        (&*long, "1025 bytes"),
        (&"x".repeat(64 << 10), "65536 bytes"),
        ("a\0b", "NUL"),
        ("$$", "not a stream"),
    ] {
        check(vec![options(name, ANY), event()], Code::InvalidArgument, part).await;
    }
    let latin1 = append_req::Options {
        stream_identifier: Some(StreamIdentifier { stream_name: Bytes::from_static(b"\xff") }),
        expected_stream_revision: Some(ANY),
    };
    check(vec![options_of(latin1), event()], Code::InvalidArgument, "UTF-8").await;
    let typed = |event_type| vec![options("a-1", ANY), proposed(1, event_type, "1")];
    check(typed(""), Code::InvalidArgument, "empty").await;
    check(typed(&long), Code::InvalidArgument, "1025 bytes").await;
    check(typed("$streamDeleted"), Code::InvalidArgument, "tombstone").await;
    let nil = vec![options("a-1", ANY), proposed(0, "t", "1")];
    check(nil, Code::InvalidArgument, "nil id").await;
    let twice = vec![options("a-1", ANY), proposed(1, "t", "1"), proposed(1, "t", "1")];
    check(twice, Code::InvalidArgument, "occurs twice").await;
    let metadata = vec![options("$$a-1", ANY), proposed(1, "$metadata", r#"{"$maxAge":-1}"#)];
    check(metadata, Code::InvalidArgument, "$maxAge").await;
}

#[tokio::test]
async fn revisions_are_within_their_range() {
    for revision in [1 << 63, u64::MAX - 1, u64::MAX] {
        let requests = vec![options("a-1", Wanted::Revision(revision)), proposed(1, "t", "1")];
        check(requests, Code::InvalidArgument, "expected revision").await;
    }
}

#[tokio::test]
async fn sizes_are_kept_to_the_byte() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let max = server.store.capabilities().limits.event_bytes_max;
    let sized = |size| vec![options("a-1", ANY), proposed(1, "t", &"x".repeat(size))];
    let status = send(&mut client, sized(max + 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let trailer = |key| status.metadata().get(key).unwrap().to_str().unwrap().to_owned();
    assert_eq!(trailer("exception"), "maximum-append-event-size-exceeded");
    assert_eq!(trailer("maximum-append-event-size"), max.to_string());
    assert_eq!(trailer("proposed-append-event-size"), (max + 1).to_string());
    written(send(&mut client, sized(max)).await.unwrap().result.unwrap());
}

#[tokio::test]
async fn too_large_an_append_says_the_limit() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let max = server.store.capabilities().limits.append_bytes_max;
    let data = "x".repeat(16 << 20);
    let mut requests = vec![options("a-1", ANY)];
    requests.extend((1..=5).map(|id| proposed(id, "t", &data)));
    let status = send(&mut client, requests).await.unwrap_err();
    let trailer = |key| status.metadata().get(key).unwrap().to_str().unwrap().to_owned();
    assert_eq!(trailer("exception"), "maximum-append-size-exceeded");
    assert_eq!(trailer("maximum-append-size"), max.to_string());
    assert_eq!(server.store.head().await.unwrap().0, 0);
}

async fn check_read(change: impl FnOnce(&mut Options), part: &str) {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let mut options = of_stream("a-1", START);
    change(&mut options);
    let status = read(&mut client, options).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains(part), "{status} instead of {part:?}");
}

#[tokio::test]
async fn a_read_needs_all_of_its_options() {
    check_read(|o| o.stream_option = None, "stream_option").await;
    check_read(|o| o.count_option = None, "count_option").await;
    check_read(|o| o.filter_option = None, "filter_option").await;
    check_read(|o| o.uuid_option = None, "uuid_option").await;
    check_read(|o| o.read_direction = 77, "read direction 77").await;
    let revision = opt::stream_options::RevisionOption::Revision;
    for at in [1 << 63, u64::MAX - 1] {
        check_read(|o| o.stream_option = of_stream("a", revision(at)).stream_option, "over").await;
        check_read(|o| o.stream_option = of_all(at_position(at)).stream_option, "over").await;
    }
    let server = Running::start().await;
    let mut client = server.streams().await;
    let status = soon(client.read(ReadReq { options: None })).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_catastrophic_expression_is_refused_in_time() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, &"a".repeat(1_000), ANY, [1]).await;
    let expression = regex(r"^((a+)\2?)+$(?<!x)b");
    let filter = opt::filter_options::Filter::StreamIdentifier(expression);
    let status = read(&mut client, filtered(of_all(ALL_START), filter, 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

/// The status of a call with this time, by hand: other clients would not even send it.
async fn status_in(server: &Running, path: &str, time: &str, body: Vec<u8>) -> Code {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::post(format!("http://{}{path}", server.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", time)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = soon(client.send_request(request)).await.unwrap();
    Code::from_bytes(response.headers()["grpc-status"].as_bytes())
}

#[tokio::test]
async fn a_deadline_of_nothing_is_exceeded_and_writes_nothing() {
    let server = Running::start().await;
    let path = "/event_store.client.streams.Streams/Append";
    let mut body = message(&options("a-1", ANY));
    body.extend(message(&proposed(1, "t", "1")));
    for time in ["0n", "0S", "00000000H"] {
        let code = status_in(&server, path, time, body.clone()).await;
        assert_eq!(code, Code::DeadlineExceeded, "{time}");
    }
    for time in ["", "soon", "-1S", "999999999S"] {
        let code = status_in(&server, path, time, body.clone()).await;
        assert_eq!(code, Code::InvalidArgument, "{time}");
    }
    assert_eq!(server.store.head().await.unwrap().0, 0);
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_takes_longer() {
    let server = Running::with(AnyStore::new(Held::new()), |_| ()).await;
    let mut body = message(&options("a-1", ANY));
    body.extend(message(&proposed(1, "t", "1")));
    let path = "/event_store.client.streams.Streams/Append";
    assert_eq!(status_in(&server, path, "20m", body).await, Code::DeadlineExceeded);
}

#[tokio::test]
async fn headers_of_the_protocol_are_taken() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    for (key, value) in [
        ("requires-leader", "true"),
        ("requires-leader", "false"),
        ("connection-name", "ES-1"),
        ("authorization", "Basic YWRtaW46Y2hhbmdlaXQ="),
    ] {
        let mut request = Request::new(ReadReq { options: Some(of_all(ALL_START)) });
        request.metadata_mut().insert(key, value.parse().unwrap());
        soon(client.read(request)).await.unwrap();
    }
}

/// The beginning of an HTTP/2 connection with one open call, by hand.
async fn half_a_call(server: &Running, path: &str, body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    frame(&mut bytes, 4, 0, 0, &[]);
    let mut headers = vec![0x83, 0x86]; // :method POST, :scheme http
    for (name, value) in [
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).unwrap());
            headers.extend_from_slice(text.as_bytes());
        }
    }
    frame(&mut bytes, 1, 4, 1, &headers);
    frame(&mut bytes, 0, 0, 1, body);
    socket.write_all(&bytes).await.unwrap();
    socket
}

fn frame(bytes: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.put_uint(payload.len() as u64, 3);
    bytes.put_u8(kind);
    bytes.put_u8(flags);
    bytes.put_u32(stream);
    bytes.put_slice(payload);
}

fn message(request: &AppendReq) -> Vec<u8> {
    let body = request.encode_to_vec();
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&body);
    message
}

#[tokio::test]
async fn half_a_message_and_a_close_write_nothing() {
    let server = Running::start().await;
    let path = "/event_store.client.streams.Streams/Append";
    let mut whole = message(&options("a-1", ANY));
    whole.extend(message(&proposed(1, "t", "1")));
    let mut half = whole.clone();
    half.truncate(whole.len() - 3);
    // The last has every message, and not its end.
    for body in [&b""[..], b"\0", &half, &whole] {
        drop(half_a_call(&server, path, body).await);
    }
    let mut client = server.streams().await;
    append(&mut client, "b-1", ANY, [2]).await;
    assert_eq!(data(&read(&mut client, of_all(ALL_START)).await.unwrap()), ["2"]);
}

/// Frames without end: the connection ends, or they are taken; others are served meanwhile.
async fn flooded(server: &Running, flood: impl Fn(u32, &mut BytesMut)) {
    let mut socket = half_a_call(server, "/factum.v1.Store/Head", b"").await;
    for first in (3..60_003).step_by(2_000) {
        let mut bytes = BytesMut::new();
        for stream in (first..first + 2_000).step_by(2) {
            flood(stream, &mut bytes);
        }
        let write = socket.write_all(&bytes);
        let sent = tokio::time::timeout(Duration::from_millis(200), write).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    soon(server.v1().await.head(HeadRequest {})).await.unwrap();
}

#[tokio::test]
async fn floods_are_borne() {
    let server = Running::start().await;
    let path = b"\x83\x86\x00\x05:path\x16/factum.v1.Store/Head\x00\x0a:authority\x01x";
    // Calls that are reset at once.
    flooded(&server, |stream, bytes| {
        frame(bytes, 1, 4, stream, path);
        frame(bytes, 3, 0, stream, &8u32.to_be_bytes());
    })
    .await;
    // Calls that are never sent to an end: more than one connection may have.
    flooded(&server, |stream, bytes| frame(bytes, 1, 4, stream, path)).await;
    // Pings, and settings.
    flooded(&server, |_, bytes| frame(bytes, 6, 0, 0, &[0; 8])).await;
    flooded(&server, |_, bytes| frame(bytes, 4, 0, 0, &[])).await;
    // Headers that never end.
    flooded(&server, |stream, bytes| {
        if stream == 3 {
            frame(bytes, 1, 0, 3, path);
        }
        frame(bytes, 9, 0, 3, b"\x00\x01a\x01b");
    })
    .await;
    // Windows that are opened by nothing, and past their end.
    flooded(&server, |_, bytes| frame(bytes, 8, 0, 0, &u32::MAX.to_be_bytes())).await;
}

#[tokio::test]
async fn many_idle_connections_are_borne() {
    let server = Running::start().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    soon(server.v1().await.head(HeadRequest {})).await.unwrap();
}

#[tokio::test]
async fn garbage_ends_its_connection_only() {
    let server = Running::start().await;
    for garbage in [
        &b"\x16\x03\x01\x02\0\x01\0"[..], // the hello of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"GET / HTTP/9\r\n\r\n",
        &[0; 4_096],
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(15), socket.read_to_end(&mut answer));
        end.await.expect("the connection ends").ok();
    }
    append(&mut server.streams().await, "a-1", ANY, [1]).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_refused() {
    let server = Running::start().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    // Field 1 of the options is a message: an Empty with unknown fields is not one.
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/factum.v1.Store/Read");
    let codec = tonic_prost::ProstCodec::<opt::Position, Empty>::default();
    let wrong = opt::Position { commit_position: 1, prepare_position: 2 };
    let status = soon(client.unary(Request::new(wrong), path, codec)).await.unwrap_err();
    assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status}");
}
