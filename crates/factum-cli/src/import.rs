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
mod table;

use crate::{
    args,
    command::{Access, open},
    console::{self, Out, warning},
    failure::{Failure, Outcome},
    input::{self, Format, InputError, Options, Records},
};
use indicatif::ProgressBar;
use plan::Plan;
use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

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

/// Reads the file, or the table, and plans its events.
fn read(args: &args::Import) -> Outcome<Plan> {
    let options = options(args)?;
    let failed = |error: InputError| failure(args, error);
    if matches!(options.format, Format::Table | Format::Marten) {
        let records = table::records(args, options.format)?;
        return plan_all(args, &options, records.map_err(failed)?, &Bar::rows());
    }
    let input::Opened { bytes, length, progress } = input::open(&args.file).map_err(failed)?;
    let records = input::records(bytes, &options).map_err(failed)?;
    plan_all(args, &options, records, &Bar::bytes(length, progress))
}

fn plan_all(
    args: &args::Import,
    options: &Options,
    Records { header, each }: Records,
    bar: &Bar,
) -> Outcome<Plan> {
    let columns = columns::Columns::new(args, options)?;
    let planner = plan::Planner::new(args, &columns, header)?;
    let planned = planner.plan(each.inspect(|_| bar.tick()), |text| bar.suspend(text));
    bar.0.finish_and_clear();
    planned
}

/// How far the reading is: in bytes of a file, or in rows.
struct Bar(ProgressBar, Option<Arc<AtomicU64>>);

impl Bar {
    fn bytes(length: Option<u64>, read: Arc<AtomicU64>) -> Self {
        Self(console::progress("reading", length, true), Some(read))
    }

    fn rows() -> Self {
        Self(console::progress("reading", None, false), None)
    }

    fn tick(&self) {
        match &self.1 {
            Some(read) => self.0.set_position(read.load(Ordering::Relaxed)),
            None => self.0.inc(1),
        }
    }

    fn suspend(&self, text: String) {
        self.0.suspend(|| warning(text));
    }
}

fn options(args: &args::Import) -> Outcome<Options> {
    let format = table::format(args)?.or(args.format).or_else(|| Format::of(&args.file));
    let format = format.ok_or_else(|| {
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
        InputError::Database { .. } => Failure::bad_input(error)
            .help("nothing was written; check the URL, the names of table and columns, and rights"),
        InputError::Open { .. } => Failure::bad_input(error).help("check the file's name"),
        InputError::Malformed { .. } => {
            failure.help("nothing was written; is the format right? --format names another")
        }
        _ => failure.help("nothing was written"),
    }
}

#[cfg(test)]
mod tests;
