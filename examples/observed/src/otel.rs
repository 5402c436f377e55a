//! OpenTelemetry as what keeps the spans: they begin within the context that came, and what comes
//! of them gets theirs. Apart from the rest, so that it can be taken as it is.

use factum::app::{
    World,
    observe::{TraceContext, Traces},
};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::HashMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// For `AppBuilder::traces`, with the layer of `tracing-opentelemetry` in the subscriber.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenTelemetry;

impl Traces for OpenTelemetry {
    fn begin(
        &self,
        span: &Span,
        from: Option<&TraceContext>,
        _: &dyn World,
    ) -> Option<TraceContext> {
        let w3c = TraceContextPropagator::new();
        if let Some(TraceContext { parent, state }) = from {
            let parent = ("traceparent".to_owned(), parent.clone());
            let state = state.clone().map(|state| ("tracestate".to_owned(), state));
            let came: HashMap<_, _> = [parent].into_iter().chain(state).collect();
            // A span that nobody wants has no parent either.
            let _ = span.set_parent(w3c.extract(&came));
        }
        let mut own = HashMap::new();
        w3c.inject_context(&span.context(), &mut own);
        let state = own.remove("tracestate").filter(|state| !state.is_empty());
        Some(TraceContext { parent: own.remove("traceparent")?, state })
    }
}
