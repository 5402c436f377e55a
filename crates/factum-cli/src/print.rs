//! Events as output: lines for people, JSON, CloudEvents.

mod cloudevent;
mod human;
mod json;

pub(crate) use json::receipt;

use crate::console::Out;
use factum::RecordedEvent;
use std::io::{self, Write};

/// How events are written.
pub(crate) enum Printer {
    /// Aligned lines for people.
    Human(human::Columns),
    /// A JSON object a line.
    Json,
    /// CloudEvents 1.0, an event a line, with this source.
    CloudEvents { source: String },
}

impl Printer {
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Human(human::Columns::default()) }
    }

    /// Writes events that were read together.
    pub(crate) fn print(&mut self, events: &[RecordedEvent], out: &mut Out) -> io::Result<()> {
        match self {
            Self::Human(columns) => {
                let look = out.look;
                columns.print(events, look, out)
            }
            Self::Json => {
                events.iter().try_for_each(|event| writeln!(out, "{}", json::line(event)))
            }
            Self::CloudEvents { source } => events
                .iter()
                .try_for_each(|event| writeln!(out, "{}", cloudevent::line(event, source))),
        }
    }
}
