//! Calls from any bytes at all, for the fuzz targets alone: what a connection hands to the
//! services, without the network.
//!
//! None may panic or wait for what does not come. Each is made to a server of its own over a small
//! store in memory, so that what one does another does not see.

use crate::{
    Config,
    context::{Context, Reached, Shared},
    grpc,
    inbound::{Awaited, Counted, Meter},
    router::Services,
    rpc,
    socket::HoldsBack,
};
use bytes::Bytes;
use factum_core::{
    AnyStore, Append, EventData, EventStore, EventType, MemoryStore, StreamName, Tag, Uuid,
};
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body as _;
use http_body_util::Full;
use std::{
    pin::{Pin, pin},
    sync::OnceLock,
    task::{Context as TaskContext, Poll, Waker},
};
use tokio::runtime::{Builder, Runtime};

/// Pieces of an answer that are taken: subscriptions do not end.
const FRAMES_MAX: usize = 64;
/// What is not there after so many looks waits for something that is not to come.
const POLLS_MAX: usize = 64;

/// Makes the call that the bytes are: a line with its path, one with its `grpc-timeout`, and the
/// body as it comes. Whether it reached a service.
#[must_use]
pub fn call(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let (Some(path), Some(time), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Some(rpc) = std::str::from_utf8(path).ok().and_then(rpc::find) else { return false };
    let mut headers = HeaderMap::new();
    if !time.is_empty() {
        headers.extend(HeaderValue::from_bytes(time).ok().map(|time| (TIMEOUT, time)));
    }
    if grpc::timeout(&headers).is_err() {
        return false;
    }
    let _inside = runtime().enter();
    let context = server();
    let services = Services::new(&context);
    let calling = services.call(rpc, request(&context, path, Bytes::copy_from_slice(body)));
    let Some(response) = ready(pin!(calling)) else { return true };
    let mut answer = response.into_body();
    for _ in 0..FRAMES_MAX {
        let next = std::future::poll_fn(|task| Pin::new(&mut answer).poll_frame(task));
        if !matches!(ready(pin!(next)), Some(Some(Ok(_)))) {
            break;
        }
    }
    true
}

const TIMEOUT: http::HeaderName = http::HeaderName::from_static("grpc-timeout");

/// Deadlines are set, and never reached.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_current_thread().enable_time().build().expect("it needs no thread")
    })
}

fn ready<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut task = TaskContext::from_waker(Waker::noop());
    (0..POLLS_MAX).find_map(|_| match future.as_mut().poll(&mut task) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

fn server() -> Context {
    let store = AnyStore::new(MemoryStore::new());
    let event = |id: u128| {
        let event_type = EventType::new("t").expect("a name");
        let mut event = EventData::new(Uuid::from_u128(id), event_type, r#"{"a":1}"#);
        event.tags = vec![Tag::new("k:1").expect("a tag")];
        event
    };
    let stream = StreamName::new("a-1").expect("a name");
    let append = Append::to(stream, [event(1), event(2)]);
    let _ = ready(pin!(store.append(append)));
    Shared::new(store, None, Config::new(([127, 0, 0, 1], 0).into()))
}

fn request(context: &Context, path: &[u8], body: Bytes) -> Request<Counted<Full<Bytes>>> {
    let permit = context.gate.received_bytes.nothing();
    let meter = Meter::new(permit);
    let next = Awaited::new(HoldsBack::default());
    let refusal = crate::v1::busy;
    let body = Counted { body: Full::new(body), next, meter: meter.clone(), refusal };
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::try_from(path).expect("it was found in the table");
    let content_type = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    let local = context.config.listen;
    request.extensions_mut().insert(meter);
    request.extensions_mut().insert(Reached { authority: None, local, peer: None });
    request
}
