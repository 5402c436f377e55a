//! The spans: their names, their fields, and how they end. Fields that are known later are empty at
//! first, so that every subscriber knows their names.
//!
//! Values are borrowed, and formatted only where a subscriber wants the span.

use crate::{
    Ctx, Envelope, Metadata,
    decision::{Boundary, Part},
    process::Given,
};
use factum_core::{Position, Uuid};
use metrics::counter;
use std::fmt;
use tracing::{Instrument, Span, debug_span, field::Empty, field::display, info_span};

/// A span that ends with an outcome.
macro_rules! told {
    ($kind:ident, $name:literal, { $($fields:tt)* }) => {
        $kind!(
            target: "factum",
            $name,
            $($fields)*
            outcome = Empty,
            error = Empty,
            otel.status_code = Empty,
        )
    };
}

/// One that is a part of a distributed trace, too.
macro_rules! traced {
    ($name:literal, { $($fields:tt)* }) => {
        told!(info_span, $name, {
            $($fields)*
            trace_id = Empty,
            span_id = Empty,
            parent_span_id = Empty,
        })
    };
}

/// A command, from when it is asked for until its outcome is known.
pub(crate) fn command(name: &'static str, key: Option<&str>, ctx: &Ctx) -> Span {
    let known = ctx.metadata();
    traced!("factum.command", {
        command = name,
        key,
        tenant = known.tenant.as_deref(),
        correlation = known.correlation.map(display),
        causation = known.causation.map(display),
        boundary = Empty,
        attempts = Empty,
        events = Empty,
        position = Empty,
    })
}

/// A command that a process sends, whatever does it.
pub(crate) fn dispatch(process: &'static str, command: &str, id: Uuid, known: &Metadata) -> Span {
    traced!("factum.dispatch", {
        process,
        command,
        id = %id,
        correlation = known.correlation.map(display),
        causation = known.causation.map(display),
    })
}

/// A step of a process: an input that an instance takes.
pub(crate) fn step<E>(process: &'static str, key: &str, given: &Given<E>, ctx: &Ctx) -> Span {
    let known = ctx.metadata();
    let (input, position) = (given.name(), given.position().map(|position| position.0));
    traced!("factum.step", {
        process,
        key,
        input,
        position,
        correlation = known.correlation.map(display),
        causation = known.causation.map(display),
    })
}

/// An event in the hands of a handler or a publication, with all attempts.
pub(crate) fn delivery<E>(handler: &str, key: &str, event: &Envelope<E>) -> Span {
    traced!("factum.delivery", {
        handler,
        key,
        event_type = event.recorded().event_type().as_str(),
        stream = %event.stream(),
        position = event.position().0,
        correlation = Empty,
        causation = %event.id(),
        attempts = Empty,
    })
}

/// Events in the hands of a consumer: what a subscription gave at once.
pub(crate) fn batch(consumer: &str, version: u32, after: Position) -> Span {
    told!(debug_span, "factum.batch", {
        consumer,
        version,
        after = after.0,
        events = Empty,
        position = Empty,
        caught_up = Empty,
    })
}

/// One append, sent until it is answered.
pub(crate) fn append(append: &factum_core::Append) -> Span {
    told!(debug_span, "factum.append", {
        stream = append.events.first().map(|(stream, _)| display(stream)),
        events = append.events.len(),
        checks = append.checks.len(),
        attempts = Empty,
        position = Empty,
    })
}

/// A turn of the relay of an outbox.
pub(crate) fn relay(relay: &str) -> Span {
    told!(debug_span, "factum.relay", {
        relay,
        claimed = Empty,
        published = Empty,
        failed = Empty,
        dead = Empty,
    })
}

/// Messages of a broker, on their way into the store.
fn receive(receiver: &str, messages: usize) -> Span {
    told!(info_span, "factum.receive", {
        receiver,
        messages,
    })
}

/// Messages in the hands of a receiver, and how many there were.
pub(crate) async fn received(
    receiver: &str,
    messages: usize,
    storing: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let span = receive(receiver, messages);
    let done = storing.instrument(span.clone()).await;
    let outcome = if done.is_ok() { "received" } else { "failed" };
    let labels = [("receiver", receiver.to_owned()), ("outcome", outcome.to_owned())];
    counter!("factum_receive_messages_total", &labels).increment(messages as u64);
    match &done {
        Ok(()) => end(&span, outcome),
        Err(why) => failed(&span, outcome, why),
    }
    done
}

/// It ended so.
pub(crate) fn end(span: &Span, outcome: &'static str) {
    span.record("outcome", outcome);
}

/// It failed: for who is to look at it.
pub(crate) fn failed(span: &Span, outcome: &'static str, why: &dyn fmt::Display) {
    span.record("outcome", outcome);
    span.record("error", display(why));
    span.record("otel.status_code", "ERROR");
}

/// Which facts a decision reads.
pub(crate) struct Reads<'a>(pub(crate) &'a [&'a Boundary]);

impl fmt::Display for Reads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().flat_map(|boundary| boundary.parts());
        for (index, part) in parts.enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            match part {
                Part::Stream(name) => name.fmt(f)?,
                Part::Query(query) => query.fmt(f)?,
            }
        }
        Ok(())
    }
}
