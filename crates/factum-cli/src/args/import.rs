//! The arguments of `factum import`.

use super::parse;
use crate::{input::Format, template::Template, time::TimeFormat};
use clap::Args;
use std::path::PathBuf;

/// What to import, and as what.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file, plain or gzip; - for standard input; or postgres://host/database, with --table
    pub(crate) file: PathBuf,
    /// What the file is [default: by its name; of a table: its columns as they are]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// The stream of an event, with columns in braces: 'order-{order_id}'
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) stream: Option<Template>,
    /// The type of an event, with columns in braces: 'order.{action}'
    #[arg(long = "type", value_name = "TEMPLATE")]
    pub(crate) event_type: Option<Template>,
    /// A tag of an event, with columns in braces: 'customer:{customer}'; may be given again
    #[arg(long = "tag", value_name = "TEMPLATE")]
    pub(crate) tags: Vec<Template>,
    /// The column that says when it happened; events enter in order of it
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// How times are written: iso, epoch-s, epoch-ms, or a pattern such as '%d/%m/%Y %H:%M'
    #[arg(long, value_name = "FORMAT", default_value = "iso")]
    pub(crate) time_format: TimeFormat,
    /// The zone of times that name none, such as Europe/Rome
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// The id of an event, with columns in braces [default: made of stream and content]
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) id: Option<Template>,
    /// A CSV column that stays text even where it looks like a number; * for all
    #[arg(long = "text", value_name = "COLUMN")]
    pub(crate) text: Vec<String>,
    /// The character between the cells of a CSV; \t for a tab
    #[arg(long, value_name = "CHAR", default_value = ",", value_parser = parse::delimiter)]
    pub(crate) delimiter: u8,
    /// Leave out bad rows and say which, instead of stopping at the first
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Events in one append, at most
    #[arg(long, value_name = "EVENTS", default_value = "500",
        value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub(crate) batch: u16,
    #[command(flatten)]
    pub(crate) table: Table,
}

/// A table of events that somebody else writes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Table {
    /// The table or view of events: event_store, or shop.event_store [default: Marten's mt_events]
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// The column that says in which order events were written, such as a sequence
    #[arg(long, value_name = "COLUMN")]
    pub(crate) order: Option<String>,
    /// The column with an event's payload [default: the whole row]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) data: Option<String>,
    /// The column with an event's metadata
    #[arg(long, value_name = "COLUMN")]
    pub(crate) metadata: Option<String>,
}
