//! What a running app tells of itself: spans (`tracing`) and numbers (`metrics`), with stable names
//! that `docs/observability.md` lists; and how a trace goes on from command to event to process to
//! command, over services.
//!
//! Both are facades: without a subscriber and a recorder nothing is written, formatted or kept.
//! What must hold: nothing of it decides anything; names change with a major release only.

pub(crate) mod meter;
pub(crate) mod span;
mod w3c;

use crate::{App, Ctx, Envelope, Metadata, world::World};
use std::fmt;
use tracing::{Span, field::display};

pub use w3c::W3c;

/// A place in a distributed trace: [W3C trace context](https://www.w3.org/TR/trace-context/).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceContext {
    /// `traceparent`: the trace and the span in it.
    pub parent: String,
    /// `tracestate`: what tracing systems add, opaque.
    pub state: Option<String>,
}

impl TraceContext {
    /// That of a command or an event, where it has one.
    #[must_use]
    pub fn of(known: &Metadata) -> Option<Self> {
        let parent = known.trace_parent.clone()?;
        Some(Self { parent, state: known.trace_state.clone() })
    }
}

/// How spans become part of distributed traces. [`W3c`] does it by itself; where OpenTelemetry
/// keeps the spans, an implementation of a few lines asks it (`examples/observed`).
///
/// Without one ([`crate::AppBuilder::traces`]) a `traceparent` that comes with a command is handed
/// on as it is, and none is made.
pub trait Traces: Send + Sync + fmt::Debug + 'static {
    /// A span begins, of something that came with this context. Answers that of the span: what
    /// comes of it gets it. `None` where the span is not traced: then what came is handed on.
    fn begin(
        &self,
        span: &Span,
        from: Option<&TraceContext>,
        world: &dyn World,
    ) -> Option<TraceContext>;
}

impl App {
    /// A span begins, of something that came with this.
    pub(crate) fn begun(&self, span: &Span, known: &Metadata) -> Option<TraceContext> {
        let traces = self.tracing()?;
        traces.begin(span, TraceContext::of(known).as_ref(), self.world().as_ref())
    }

    /// The same of an event, of which is read what is known only for who wants it.
    pub(crate) fn begun_with<E>(&self, span: &Span, event: &Envelope<E>) -> Option<TraceContext> {
        if span.is_disabled() && self.tracing().is_none() {
            return None;
        }
        let known = event.metadata();
        span.record("correlation", known.correlation.map(display));
        self.begun(span, &known)
    }

    /// The context of a command or a step whose span begins.
    pub(crate) fn traced(&self, span: &Span, ctx: Ctx) -> Ctx {
        match self.begun(span, ctx.metadata()) {
            None => ctx,
            some => {
                let known = ctx.metadata().clone().within(some);
                ctx.with_metadata(known)
            }
        }
    }
}

impl Metadata {
    /// The same within a trace, if there is one.
    pub(crate) fn within(self, trace: Option<TraceContext>) -> Self {
        match trace {
            Some(TraceContext { parent, state }) => {
                Self { trace_parent: Some(parent), trace_state: state, ..self }
            }
            None => self,
        }
    }
}
