//! A response's body, watched: it holds what its call has taken until the last byte is sent or the
//! client is gone, and tells the metrics how the call ended.

use crate::{connection::Busy, gate::Permit, metrics::Call};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tonic::{Code, Status};

/// The watched body.
pub(crate) struct Watched {
    pub(crate) body: tonic::body::Body,
    pub(crate) call: Option<Call>,
    /// Given back when the body is dropped.
    pub(crate) _permit: Permit,
    pub(crate) _busy: Busy,
}

/// The code in trailers, or in headers of a response without a body.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let ended = match &polled {
            None => Some(Code::Ok),
            Some(Err(status)) => Some(status.code()),
            Some(Ok(frame)) => frame.trailers_ref().and_then(code_in),
        };
        if let (Some(code), Some(call)) = (ended, self.call.take_if(|_| ended.is_some())) {
            call.done(code);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
