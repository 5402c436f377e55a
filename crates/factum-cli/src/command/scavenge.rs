//! `factum scavenge`: of a folder here, or of the store that a server serves.
//!
//! What must hold: what is left and why is said, not only what was freed; Ctrl-C leaves everything
//! whole, and says whether it goes on.

use super::{follow, store};
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::{
    client::operations::{
        Operations, OperationsError, Scavenge, ScavengePhase, ScavengeRequest, ScavengeStates,
    },
    log::rewrite::{MaintenanceError, ScavengeOptions, ScavengeReport, Stop},
};
use indicatif::ProgressBar;
use serde_json::json;
use std::{io::Write, path::PathBuf};

/// Scavenges the store that the URL names.
pub(super) async fn scavenge(url: &str, args: args::Scavenge, out: &mut Out) -> Outcome {
    match factum::folder(url) {
        Ok(_) if args.stop => Err(Failure::usage("--stop is for a server's scavenge")
            .help("in a folder, Ctrl-C ends the command that scavenges it")),
        Ok(dir) => {
            store::must_exist(&dir)?;
            let report = of_folder(dir, &args).await?;
            show(&report, args.json, out)?;
            unreadable(&report.unreadable)
        }
        Err(_) if url.starts_with("factum://") => of_server(url, &args, out).await,
        Err(_) => Err(Failure::usage(format!("scavenge is not possible over {url}"))
            .help("use --at factum://HOST:PORT, or --at file:FOLDER without a server")),
    }
}

async fn of_folder(dir: PathBuf, args: &args::Scavenge) -> Outcome<ScavengeReport> {
    let options = ScavengeOptions {
        grace_s: args.grace,
        threshold_percent: args.threshold,
        bytes_per_second_max: args.throttle,
    };
    let (stop, mut asked) = (Stop::default(), follow::Stop::listen());
    let of_work = stop.clone();
    let work = tokio::task::spawn_blocking(move || {
        let store = store::folder(&dir)?;
        let bar = console::progress("scavenging", Some(0), false);
        let ended = store.reader().maintenance().scavenge(&options, &of_work, &mut |report| {
            bar.set_length(report.segments);
            bar.set_position(report.segments_done);
        });
        bar.finish_and_clear();
        store.close();
        ended.map_err(not_scavenged)
    });
    let asked = tokio::spawn(async move {
        asked.requested().await;
        stop.stop();
    });
    let ended = work.await.map_err(|error| Failure::new(Exit::Failure, error))?;
    asked.abort();
    ended
}

fn not_scavenged(error: MaintenanceError) -> Failure {
    let cure = match &error {
        MaintenanceError::Busy => "wait until it ends",
        MaintenanceError::ReadOnly { .. } => "`factum verify` says what is damaged",
        _ => "what is done is done: run it again when that is mended",
    };
    let exit = match &error {
        MaintenanceError::Fault(_) => Exit::Failure,
        _ => Exit::Store,
    };
    Failure::new(exit, error).help(cure)
}

async fn of_server(url: &str, args: &args::Scavenge, out: &mut Out) -> Outcome {
    let operations = Operations::new(url).map_err(|error| Failure::usage(error.to_string()))?;
    if args.stop {
        let id = operations.stop_scavenge().await.map_err(refused)?;
        writeln!(out, "stopping scavenge {id}: what it has done stays done")?;
        return Ok(());
    }
    let request = ScavengeRequest {
        grace_s: Some(args.grace),
        threshold_percent: Some(args.threshold),
        bytes_per_second_max: args.throttle,
    };
    let (id, was_running) = operations.start_scavenge(request).await.map_err(refused)?;
    if was_running {
        console::note(format_args!("scavenge {id} was going on already: following it"));
    }
    let states = operations.scavenge_status().await.map_err(refused)?;
    let mut asked = follow::Stop::listen();
    let last = tokio::select! {
        last = last_state(states) => last?,
        () = asked.requested() => {
            console::note("the server goes on scavenging: `factum scavenge --stop` ends it");
            return Ok(());
        }
    };
    let (report, phase) = (report(&last), last.phase);
    show(&report, args.json, out)?;
    match phase {
        ScavengePhase::Failed(why) => Err(Failure::new(Exit::Failure, why)
            .help("what is done is done: run it again when that is mended")),
        _ => unreadable(&report.unreadable),
    }
}

async fn last_state(mut states: ScavengeStates) -> Outcome<Scavenge> {
    let bar: ProgressBar = console::progress("scavenging", Some(0), false);
    let mut last = None;
    while let Some(state) = states.next().await.map_err(refused)? {
        bar.set_length(state.segments);
        bar.set_position(state.segments_done);
        last = Some(state);
    }
    bar.finish_and_clear();
    let last = last.filter(|last| last.phase != ScavengePhase::Running);
    last.ok_or_else(|| {
        Failure::new(Exit::Unreachable, "the server stopped while it scavenged")
            .help("what is done is done: run it again when the server is there")
    })
}

pub(super) fn refused(error: OperationsError) -> Failure {
    let exit = match &error {
        OperationsError::NotFound(_) => Exit::NotFound,
        OperationsError::Invalid(_) => Exit::Usage,
        OperationsError::Unavailable(_) => Exit::Unreachable,
        _ => Exit::Store,
    };
    Failure::new(exit, error)
}

fn report(of: &Scavenge) -> ScavengeReport {
    let mut report = ScavengeReport::default();
    report.segments = of.segments;
    report.segments_done = of.segments_done;
    report.segments_rewritten = of.segments_rewritten;
    report.events = of.events;
    report.events_removed = of.events_removed;
    report.events_emptied = of.events_emptied;
    report.bytes_freed = of.bytes_freed;
    report.segments_below_threshold = of.segments_below_threshold;
    report.bytes_below_threshold = of.bytes_below_threshold;
    report.events_in_grace = of.events_in_grace;
    report.unreadable.clone_from(&of.unreadable);
    report.stopped = of.phase == ScavengePhase::Stopped;
    report
}

fn show(report: &ScavengeReport, as_json: bool, out: &mut Out) -> Outcome {
    if as_json {
        let object = json!({
            "segments": report.segments,
            "segmentsDone": report.segments_done,
            "segmentsRewritten": report.segments_rewritten,
            "events": report.events,
            "eventsRemoved": report.events_removed,
            "eventsEmptied": report.events_emptied,
            "bytesFreed": report.bytes_freed,
            "segmentsBelowThreshold": report.segments_below_threshold,
            "bytesBelowThreshold": report.bytes_below_threshold,
            "eventsInGrace": report.events_in_grace,
            "unreadable": report.unreadable,
            "stopped": report.stopped,
        });
        writeln!(out, "{object}")?;
        return Ok(out.flush()?);
    }
    writeln!(
        out,
        "{} of {} sealed segments looked at, {} rewritten: {} events removed, {} emptied, {} bytes \
         freed{}",
        report.segments_done,
        report.segments,
        report.segments_rewritten,
        report.events_removed,
        report.events_emptied,
        report.bytes_freed,
        if report.stopped { "; stopped before its end" } else { "" }
    )?;
    if report.segments_below_threshold > 0 {
        let (segments, bytes) = (report.segments_below_threshold, report.bytes_below_threshold);
        writeln!(out, "left: about {bytes} bytes in {segments} segments below the threshold")?;
    }
    if report.events_in_grace > 0 {
        writeln!(out, "left: {} hidden events within the grace", report.events_in_grace)?;
    }
    Ok(out.flush()?)
}

fn unreadable(unreadable: &[String]) -> Outcome {
    let Some(first) = unreadable.first() else { return Ok(()) };
    let cause = format!("{} segments could not be read, the first: {first}", unreadable.len());
    Err(Failure::new(Exit::Store, cause).help("they are as they were; `factum verify` says more"))
}
