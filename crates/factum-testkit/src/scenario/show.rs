//! How facts, commands and differences are shown.

use super::facts::Fact;
use factum_app::{Boundary, Command, CommandSet, Part, event::EventSet, serde_json};
use factum_core::RecordedEvent;
use serde_json::Value;

/// Payloads up to so many characters are shown on one line.
const LINE_MAX: usize = 80;

/// An event as it is compared and shown: its type and its payload.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Shown {
    event_type: String,
    payload: Value,
}

impl Shown {
    pub(super) fn of<E: EventSet>(event: &E) -> Self {
        let bytes = event.encode();
        let bytes = bytes.unwrap_or_else(|error| panic!("{event:?} does not become JSON: {error}"));
        Self { event_type: event.info().event_type.into(), payload: value(&bytes) }
    }

    pub(super) fn of_recorded(event: &RecordedEvent) -> Self {
        Self { event_type: event.event_type().to_string(), payload: value(event.data()) }
    }

    pub(super) fn of_command<C: CommandSet>(command: &C) -> Self {
        let payload = command.encode();
        let payload = payload.unwrap_or_else(|error| panic!("{command:?} is no JSON: {error}"));
        Self { event_type: command.name().into(), payload }
    }

    fn line(&self) -> String {
        format!("{} {}", self.event_type, self.payload)
    }

    /// Field by field, so that a difference is that of a field.
    fn lines(&self) -> String {
        let payload = serde_json::to_string_pretty(&self.payload).unwrap_or_default();
        format!("{} {payload}\n", self.event_type)
    }
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into()))
}

pub(super) fn given(facts: &[Fact]) -> String {
    let lines = facts.iter().map(|fact| {
        let data = &fact.draft.data;
        let shown = Shown { event_type: data.event_type.to_string(), payload: value(&data.data) };
        format!("  {}\n", shown.line())
    });
    let lines: String = lines.collect();
    if lines.is_empty() { "given nothing\n".into() } else { format!("given\n{lines}") }
}

pub(super) fn command<C: Command>(command: &C) -> String {
    let payload = serde_json::to_value(command).unwrap_or(Value::Null);
    format!("{} {payload}", C::NAME)
}

pub(super) fn list(events: &[Shown]) -> String {
    let show = |event: &Shown| {
        let line = event.line();
        if line.len() <= LINE_MAX {
            return format!("  {line}\n");
        }
        event.lines().lines().map(|line| format!("  {line}\n")).collect()
    };
    let lines: String = events.iter().map(show).collect();
    if lines.is_empty() { "  no events\n".into() } else { lines }
}

pub(super) fn stored(events: &[RecordedEvent]) -> String {
    list(&events.iter().map(Shown::of_recorded).collect::<Vec<_>>())
}

pub(super) fn difference(got: &[Shown], want: &[Shown], what: &str) -> String {
    let lines = |events: &[Shown]| events.iter().map(Shown::lines).collect::<String>();
    let shown = crate::difference::lines(&lines(got), &lines(want));
    format!("(- expected, + {what})\n{shown}")
}

pub(super) fn boundary(boundary: &Boundary) -> String {
    let part = |part: &Part| match part {
        Part::Stream(stream) => format!("stream {stream}"),
        Part::Query(query) => format!("events with {query}"),
    };
    boundary.parts().iter().map(part).collect::<Vec<_>>().join("; and ")
}
