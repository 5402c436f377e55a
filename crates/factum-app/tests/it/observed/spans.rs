//! A layer that keeps the spans that have ended, with their fields as text.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock, Mutex},
};
use tracing::{
    Dispatch, Id, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// A span that has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    pub(super) name: &'static str,
    pub(super) parent: Option<String>,
    fields: BTreeMap<&'static str, String>,
}

/// All of them, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(Arc<Mutex<Vec<Ended>>>);

struct Place(usize);

/// Where there is only one subscriber, `tracing` asks that of the thread which comes to a span
/// first, and no other: a test beside these, without one, would switch the span off for all.
static ANOTHER: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// Runs this on this thread, and sees it.
pub(super) fn seen<T>(spans: &Spans, run: impl FnOnce() -> T) -> T {
    let _seen = spans.collect();
    run()
}

impl Spans {
    /// From now on, on this thread.
    pub(super) fn collect(&self) -> DefaultGuard {
        LazyLock::force(&ANOTHER);
        let subscriber = tracing_subscriber::registry().with(self.clone());
        tracing::subscriber::set_default(subscriber)
    }

    pub(super) fn all(&self, name: &str) -> Vec<Ended> {
        self.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The only one with this name and these fields.
    pub(super) fn one(&self, name: &str, fields: &[(&str, &str)]) -> Ended {
        let mut all = self.all(name);
        all.retain(|span| fields.iter().all(|(name, value)| span.find(name) == Some(value)));
        assert_eq!(all.len(), 1, "{name} {fields:?}: {:#?}", self.0.lock().unwrap());
        all.remove(0)
    }
}

impl Ended {
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("{name} of {self:#?}"))
    }

    pub(super) fn has(&self, name: &str, value: &str) {
        assert_eq!(self.get(name), value, "{name} of {self:#?}");
    }
}

impl Visit for Ended {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent().map(|parent| parent.name().to_owned());
        let mut ended = Ended { name: span.name(), parent, ..Ended::default() };
        attributes.record(&mut ended);
        let mut all = self.0.lock().unwrap();
        span.extensions_mut().insert(Place(all.len()));
        all.push(ended);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let extensions = span.extensions();
        let Place(at) = extensions.get().unwrap();
        values.record(self.0.lock().unwrap().get_mut(*at).unwrap());
    }
}
