//! `factum events check`: whether a lock file keeps what an older one promised, and knows what a
//! store holds.

use super::{Access, open};
use crate::{
    args::{Events, EventsCheck},
    console::Out,
    failure::{Exit, Failure, Outcome},
};
use factum::{
    AnyStore, EventStore, Query, Read,
    app::lock::{Census, Findings, KINDS_MAX, Lock, LockError, compare},
    next_batch,
};
use std::{fmt::Write as _, io::Write, path::Path};

/// Does what is to be done about events.
pub(super) async fn events(url: &str, events: Events, out: &mut Out) -> Outcome {
    let Events::Check(args) = events;
    let lock = read(&args.lock)?;
    against(&args, &lock, out)?;
    if args.store {
        store(&open(url, Access::Existing).await?, &lock, out).await?;
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<Lock> {
    Lock::read(path).map_err(|error| match error {
        LockError::Missing { path } => {
            Failure::bad_input(format!("there is no {path}")).help("name the file of the lock")
        }
        LockError::Damaged { path, what, cure } => {
            Failure::bad_input(format!("{path} is damaged, {what}")).help(cure)
        }
        other => Failure::bad_input(other),
    })
}

fn against(args: &EventsCheck, lock: &Lock, out: &mut Out) -> Outcome {
    let Some(released) = &args.against else { return Ok(()) };
    let released_lock = read(released)?;
    let found = compare(&released_lock, lock);
    let (path, released) = (args.lock.display(), released.display());
    if !found.is_empty() {
        let cause =
            format!("facts of {released} could not be read with {path}:{}", Findings(found));
        return Err(Failure::new(Exit::Conflict, cause).help(
            "change the events as is said to be safe; `docs/evolution.md` has each way to do it",
        ));
    }
    let count = released_lock.events.len();
    writeln!(out, "{path} keeps all {count} shapes of {released}")?;
    Ok(())
}

async fn store(store: &AnyStore, lock: &Lock, out: &mut Out) -> Outcome {
    let mut census = Census::default();
    let mut reading = store.read(Read::query(Query::All)).await?;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        batch?.events.iter().for_each(|event| census.see(event));
    }
    let mut unknown = String::new();
    for (event_type, version, seen) in census.unknown(lock) {
        let (count, first) = (seen.count, seen.first);
        let s = if count == 1 { "" } else { "s" };
        let _ = write!(
            unknown,
            "\n  {event_type} version {version}: {count} event{s}, the first at position {first}"
        );
    }
    if census.overflowed() {
        let _ = write!(unknown, "\n  and more: only the first {KINDS_MAX} kinds were counted");
    }
    if !unknown.is_empty() {
        let cause = format!("the store holds what the lock file does not know:{unknown}");
        return Err(Failure::new(Exit::Conflict, cause).help(
            "add their structs to the application's sets (`#[history(…)]` for what is not written \
             any more) and update the file; or is it the lock of another application?",
        ));
    }
    writeln!(
        out,
        "{} events, each of a type and version that the lock file knows",
        census.count()
    )?;
    Ok(())
}
