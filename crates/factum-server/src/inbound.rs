//! A request's body, counted: bytes that are received and not yet decoded are bounded over all
//! calls, so that many half-sent messages cannot fill the memory.

use crate::{
    gate::Permit,
    socket::{HELD_BACK, HoldsBack},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::time::Instant;
use tonic::Status;

/// Counts the bytes of one call; an extension of its request.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<Mutex<Permit>>);

impl Meter {
    pub(crate) fn new(permit: Permit) -> Self {
        Self(Arc::new(Mutex::new(permit)))
    }

    fn add(&self, bytes: usize) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes)
    }

    /// What was received so far is decoded: from here on it is counted elsewhere.
    pub(crate) fn decoded(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The next piece of a body, which is waited for since the one before, or its head, came.
#[derive(Debug)]
pub(crate) struct Awaited {
    since: Instant,
    holds_back: HoldsBack,
}

impl Awaited {
    pub(crate) fn new(holds_back: HoldsBack) -> Self {
        Self { since: Instant::now(), holds_back }
    }

    fn came(&mut self) {
        let now = Instant::now();
        if HELD_BACK.contains(&now.duration_since(self.since)) {
            self.holds_back.set();
        }
        self.since = now;
    }
}

/// The counted body.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    pub(crate) body: B,
    pub(crate) next: Awaited,
    pub(crate) meter: Meter,
    /// What the client is told where the bytes are too many.
    pub(crate) refusal: fn() -> Status,
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        self.next.came();
        Poll::Ready(polled.map(|frame| {
            let frame = frame.map_err(|error| Status::from_error(error.into()))?;
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if self.meter.add(bytes) { Ok(frame) } else { Err((self.refusal)()) }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
