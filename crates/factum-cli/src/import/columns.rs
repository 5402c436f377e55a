//! Which columns make an event's stream, type, time and id: as the user says, or as the format
//! does.

use crate::{
    args,
    failure::{Failure, Outcome},
    input::{Format, Options, TIME},
    template::Template,
};

/// What an event is made of.
#[derive(Debug)]
pub(super) struct Columns {
    /// `None` only where the user has to be asked for it.
    pub(super) stream: Option<Template>,
    pub(super) event_type: Option<Template>,
    pub(super) tags: Vec<Template>,
    pub(super) id: Option<Template>,
    pub(super) time: Option<Time>,
}

/// The column of the time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Time {
    pub(super) column: String,
    /// The user named it: a record without it is bad. The format's own may be missing.
    pub(super) is_asked_for: bool,
}

impl Columns {
    pub(super) fn new(args: &args::Import, options: &Options) -> Outcome<Self> {
        let template = |text: &str| text.parse::<Template>().ok();
        let (stream, event_type, time) = match options.format {
            Format::Csv | Format::Table => (None, None, None),
            Format::Marten => (template("{stream_id}"), template("{type}"), Some("timestamp")),
            Format::Xes => (None, None, Some(TIME)),
            Format::Jsonl if !options.is_exported => (None, None, None),
            Format::Jsonl => (template("{stream}"), template("{type}"), Some("occurredAt")),
            Format::Cloudevents => (template("{subject}"), template("{type}"), Some("time")),
        };
        let time = match (&args.time, time) {
            (Some(column), _) => Some(Time { column: column.clone(), is_asked_for: true }),
            (None, Some(column)) => Some(Time { column: column.to_owned(), is_asked_for: false }),
            (None, None) => None,
        };
        if !args.text.is_empty() && options.format != Format::Csv {
            return Err(Failure::usage("--text is about the columns of a CSV")
                .help("leave it out: this format says itself what is a number"));
        }
        Ok(Self {
            stream: args.stream.clone().or(stream),
            event_type: args.event_type.clone().or(event_type),
            tags: args.tags.clone(),
            id: args.id.clone().or_else(|| match options.format {
                Format::Marten => template("{id}"),
                _ => None,
            }),
            time,
        })
    }
}
