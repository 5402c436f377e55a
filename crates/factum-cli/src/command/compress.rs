//! `factum compress`: the sealed segments of a folder, smaller; or as they were.
//!
//! What must hold: what it did is said in bytes of the disk; Ctrl-C leaves everything whole.

use super::{follow, store, tier};
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::log::{
    Options,
    packed::{PackError, Packed},
};
use indicatif::ProgressBar;
use serde_json::json;
use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Compresses the folder that the URL names, or brings it back.
pub(super) async fn compress(url: &str, args: args::Compress, out: &mut Out) -> Outcome {
    let Ok(dir) = factum::folder(url) else {
        return Err(Failure::usage(format!("compress is not possible over {url}")).help(
            "use --at file:FOLDER; a server compresses what it serves: `factum serve --compress \
             zstd`",
        ));
    };
    store::must_exist(&dir)?;
    let (stop, mut asked) = (Arc::new(AtomicBool::new(false)), follow::Stop::listen());
    let (of_work, undo, as_json) = (stop.clone(), args.undo, args.json);
    let work = tokio::task::spawn_blocking(move || of_folder(&dir, &args, &of_work));
    let told = stop.clone();
    let asked = tokio::spawn(async move {
        asked.requested().await;
        told.store(true, Ordering::Relaxed);
    });
    let done = work.await.map_err(|error| Failure::new(Exit::Failure, error))??;
    asked.abort();
    show(done, (undo, as_json, stop.load(Ordering::Relaxed)), out)
}

fn of_folder(dir: &Path, args: &args::Compress, stop: &AtomicBool) -> Outcome<Packed> {
    let (world, _) = tier::world(dir)?;
    let disk = world.disk.packed().expect("the usual disk compresses").clone();
    // Opening locks the folder, and clears what a crash left.
    let log = store::open_in(dir, Options { world, ..Options::default() })?;
    if let Some(why) = log.read_only() {
        return Err(Failure::new(Exit::Store, format!("the store takes no writes: {why}"))
            .help("`factum verify` says what is damaged"));
    }
    let is_due = |is_packed: bool| is_packed == args.undo;
    let segments = disk.segments(dir).map_err(not_done)?;
    let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
    let total = sealed.iter().filter(|one| is_due(one.is_packed)).map(|one| one.bytes).sum();
    let what = if args.undo { "bringing back" } else { "compressing" };
    let bar = console::progress(what, Some(total), true);
    let mut pace = Pace { began: Instant::now(), done: 0, rate: args.throttle };
    let mut watch = |bytes| {
        pace.spend(bytes, &bar);
        !stop.load(Ordering::Relaxed)
    };
    let done = match args.undo {
        true => disk.expand(dir, &mut watch),
        false => disk.compress(dir, args.level, &mut watch),
    };
    bar.finish_and_clear();
    log.close();
    done.map_err(not_done)
}

/// Bytes so far, and how fast they may be.
struct Pace {
    began: Instant,
    done: u64,
    rate: Option<u64>,
}

impl Pace {
    /// Notes bytes; waits where that was too fast, a block at a time.
    fn spend(&mut self, bytes: u64, bar: &ProgressBar) {
        self.done += bytes;
        bar.set_position(self.done);
        if let Some(rate) = self.rate {
            let ns = u128::from(self.done) * 1_000_000_000 / u128::from(rate);
            let due = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
            thread::sleep(due.saturating_sub(self.began.elapsed()).min(Duration::from_secs(1)));
        }
    }
}

fn not_done(error: PackError) -> Failure {
    let (exit, cure) = match &error {
        PackError::Fault(_) => (Exit::Failure, "mend that, and run it again: it goes on"),
        _ => (Exit::Store, "`factum verify` says what is damaged"),
    };
    Failure::new(exit, error).help(cure)
}

fn show(done: Packed, (undo, as_json, stopped): (bool, bool, bool), out: &mut Out) -> Outcome {
    let Packed { segments, bytes, stored } = done;
    if as_json {
        let object = json!({
            "segments": segments, "bytes": bytes, "storedBytes": stored, "stopped": stopped,
        });
        writeln!(out, "{object}")?;
        return Ok(out.flush()?);
    }
    let stopped = if stopped { "; stopped before its end, the same command goes on" } else { "" };
    if undo {
        writeln!(out, "{segments} segments brought back: {stored} bytes are {bytes}{stopped}")?;
    } else {
        let percent = if bytes == 0 { 100 } else { u128::from(stored) * 100 / u128::from(bytes) };
        writeln!(
            out,
            "{segments} segments compressed: {bytes} bytes are {stored} now ({percent} %){stopped}"
        )?;
    }
    Ok(out.flush()?)
}
