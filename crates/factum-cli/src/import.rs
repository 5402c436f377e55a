//! `factum import`: from a file into a store, each event once.
//!
//! 1. `plan`: read the whole file; every record gets a stream, a type, a time and an id, or is
//!    refused before anything is written. The events are put in order of time.
//! 2. `present`: which of the ids are in the store already.
//! 3. `send`: append the rest in that order, under numbered expectations, so that nothing is
//!    written twice: not when the command is run again, not after a crash, not beside another
//!    import.
//!
//! The events of a file are held in memory, as ordering needs all of them: see
//! [`plan::HELD_BYTES_MAX`].

mod columns;
mod plan;
mod present;
mod send;

use crate::{
    args,
    command::{Access, open},
    console::{self, Out, warning},
    failure::{Failure, Outcome},
    input::{self, Format, InputError, Options, Records},
};
use plan::Plan;
use std::{io::Write, sync::atomic::Ordering};

/// Imports a file.
pub(crate) async fn import(url: &str, args: &args::Import, out: &mut Out) -> Outcome {
    let plan = read(args)?;
    let store = open(url, Access::Creating).await?;
    let present = present::present(&store, &plan).await?;
    let sent = send::Sender::new(&store, present, args.batch.into()).send(plan.events).await?;
    let skipped = match plan.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} bad and left out"),
    };
    writeln!(out, "{} new, {} already there{skipped}", sent.new, sent.there + plan.repeated)?;
    Ok(())
}

/// Reads the file and plans its events.
fn read(args: &args::Import) -> Outcome<Plan> {
    let options = options(args)?;
    let failed = |error: InputError| failure(args, error);
    let input::Opened { bytes, length, progress } = input::open(&args.file).map_err(failed)?;
    let Records { header, each } = input::records(bytes, &options).map_err(failed)?;
    let columns = columns::Columns::new(args, &options)?;
    let planner = plan::Planner::new(args, &columns, header)?;
    let bar = console::progress("reading", length, true);
    let each = each.inspect(|_| bar.set_position(progress.load(Ordering::Relaxed)));
    let planned = planner.plan(each, |text| bar.suspend(|| warning(text)));
    bar.finish_and_clear();
    planned
}

fn options(args: &args::Import) -> Outcome<Options> {
    let format = args.format.or_else(|| Format::of(&args.file)).ok_or_else(|| {
        let cause = format!("{} does not say by its name what it is", args.file.display());
        Failure::usage(cause).help("say so: --format csv, xes, jsonl or cloudevents")
    })?;
    // A file that is named .tsv has tabs.
    let name = args.file.to_string_lossy().to_ascii_lowercase();
    let is_tsv = name.trim_end_matches(".gz").ends_with(".tsv");
    let delimiter = if is_tsv && args.delimiter == b',' { b'\t' } else { args.delimiter };
    let is_exported = args.event_type.is_none();
    Ok(Options { format, delimiter, text: args.text.clone(), is_exported })
}

fn failure(args: &args::Import, error: InputError) -> Failure {
    let failure = Failure::bad_input(format!("{}: {error}", args.file.display()));
    match error {
        InputError::Open { .. } => Failure::bad_input(error).help("check the file's name"),
        InputError::Malformed { .. } => {
            failure.help("nothing was written; is the format right? --format names another")
        }
        _ => failure.help("nothing was written"),
    }
}

#[cfg(test)]
mod tests;
