//! What the gRPC protocols share: refusals, deadlines, and streams that end when the server does.

use crate::{context::Context, gate::Permit};
use futures_core::Stream;
use http::{HeaderMap, HeaderValue, Request};
use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

/// Who is spoken with: the same refusal is told to each in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    V1,
    KurrentDb,
    Dcb,
}

impl Protocol {
    /// Too much at once: nothing was done, and a retry after a pause may succeed.
    pub(crate) fn busy(self) -> fn() -> Status {
        match self {
            Self::V1 => crate::v1::busy,
            Self::KurrentDb => crate::kurrentdb::busy,
            Self::Dcb => crate::dcb::busy,
        }
    }
}

/// What every protocol is told when the server stops: clients try again, elsewhere or later.
pub(crate) fn draining() -> Status {
    Status::unavailable("Server Is Not Ready")
}

/// The time that the client gives a call, from `grpc-timeout`.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let parsed = parse_timeout(value);
    let bad = || Status::invalid_argument("grpc-timeout: at most 8 digits and one of H M S m u n");
    match parsed.ok_or_else(bad)? {
        Duration::ZERO => Err(deadline_exceeded()),
        time => Ok(Some(time)),
    }
}

fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// The client's time is over.
pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the deadline is over; if this was an append, retry it with its ids")
}

/// Whether a request speaks gRPC.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A subscription's stream: it holds its permit, and ends when the server is to stop.
pub(crate) struct Subscription<S> {
    stream: Option<S>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: Permit,
}

impl<S> Subscription<S> {
    /// Fails where there are too many subscriptions.
    pub(crate) fn new(context: &Context, protocol: Protocol, stream: S) -> Result<Self, Status> {
        let permit = context.gate.subscriptions.take(1).ok_or_else(protocol.busy())?;
        let drained = Box::pin(context.drain.clone().cancelled_owned());
        Ok(Self { stream: Some(stream), drained, _permit: permit })
    }
}

impl<S, T> Stream for Subscription<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = Result<T, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        if this.drained.as_mut().poll(context).is_ready() {
            this.stream = None;
            return Poll::Ready(Some(Err(draining())));
        }
        Pin::new(stream).poll_next(context)
    }
}

/// A stream behind one type, as the generated services want it.
pub(crate) type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(value: &str, expected: Option<u64>) {
        let parsed = parse_timeout(&HeaderValue::from_str(value).unwrap());
        assert_eq!(parsed, expected.map(Duration::from_nanos), "{value}");
    }

    #[test]
    fn timeouts_have_8_digits_and_a_unit() {
        check("0n", Some(0));
        check("15u", Some(15_000));
        check("99999999m", Some(99_999_999_000_000));
        check("1H", Some(3_600_000_000_000));
        for bad in ["", "S", "1", "-1S", "+1S", "1s", "999999999S", "1 S", "0x1S"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_timeout_of_nothing_is_over() {
        let mut headers = HeaderMap::new();
        assert_eq!(timeout(&headers).unwrap(), None);
        headers.insert("grpc-timeout", HeaderValue::from_static("0S"));
        assert_eq!(timeout(&headers).unwrap_err().code(), tonic::Code::DeadlineExceeded);
    }
}
