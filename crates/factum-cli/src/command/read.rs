//! `factum read`: events that are stored.

use super::stream::absent;
use crate::{
    args::{self, AsOfArg, From},
    console::Out,
    failure::{Exit, Failure, Outcome},
    print::Printer,
};
use factum::{
    AnyStore, AsOf, Direction, EventStore, Freshness, Query, Read, RecordedEvent, Select,
    StreamState, next_batch,
};
use std::io::Write;

/// Reads and prints.
pub(super) async fn read(store: &AnyStore, args: &args::Read, out: &mut Out) -> Outcome {
    let selected = args.selection.selected()?;
    let direction = if args.backwards { Direction::Backward } else { Direction::Forward };
    let as_of = match (args.as_of, args.occurred_as_of) {
        (Some(AsOfArg(as_of)), _) => as_of,
        (None, Some(moment)) => AsOf::Occurred(moment),
        (None, None) => AsOf::Now,
    };
    // Past the end there is nothing: only what the stream is, is asked for.
    let is_past_the_end = matches!(
        (args.from, direction),
        (Some(From::End), Direction::Forward) | (Some(From::Start), Direction::Backward)
    );
    let from = match args.from {
        Some(From::At(at)) => Some(at),
        None | Some(From::Start | From::End) => None,
    };
    // What is filtered here is counted here.
    let limit = if selected.filter.is_none() { args.limit } else { None };
    let (direction, limit) =
        if is_past_the_end { (Direction::Forward, Some(0)) } else { (direction, limit) };
    let freshness = Freshness::Current;
    let read = Read { direction, from, limit, as_of, freshness, ..Read::select(selected.select) };
    let left = args.limit.unwrap_or(u64::MAX);
    let filter = Filter { query: selected.filter, left, system: true };
    run(store, read, filter, (&mut Printer::of(args.json), out)).await
}

/// What of the events read is printed.
pub(super) struct Filter {
    pub(super) query: Option<Query>,
    pub(super) left: u64,
    /// Events of streams that begin with `$` too.
    pub(super) system: bool,
}

impl Filter {
    /// Those of a batch that pass, until the limit.
    pub(super) fn pass(&mut self, mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        events.retain(|event| {
            let passes = self.left > 0
                && (self.system || !event.stream().is_system())
                && self.query.as_ref().is_none_or(|query| query.matches(event));
            self.left -= u64::from(passes);
            passes
        });
        events
    }
}

/// Reads to the end, or to the limit.
pub(super) async fn run(
    store: &AnyStore,
    read: Read,
    mut filter: Filter,
    (printer, out): (&mut Printer, &mut Out),
) -> Outcome {
    let select = read.select.clone();
    let mut reading = store.read(read).await?;
    check(&select, reading.state)?;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        let events = filter.pass(batch?.events);
        printer.print(&events, out)?;
        if filter.left == 0 {
            break;
        }
    }
    out.flush()?;
    Ok(())
}

/// A stream that has nothing to show is said to have nothing, and why.
fn check(select: &Select, state: Option<StreamState>) -> Outcome {
    let Select::Stream(stream) = select else {
        return Ok(());
    };
    match state {
        Some(StreamState::Absent) => Err(absent(stream)),
        Some(StreamState::Deleted { .. }) => {
            Err(Failure::new(Exit::NotFound, format!("stream {stream} is deleted"))
                .help("the next append to it lets it go on"))
        }
        Some(StreamState::Tombstoned) => {
            Err(Failure::new(Exit::NotFound, format!("stream {stream} is deleted for ever"))
                .help("use another name"))
        }
        Some(StreamState::Live { .. }) | None => Ok(()),
    }
}
