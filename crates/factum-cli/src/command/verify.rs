//! `factum verify`: every byte of a store, read and compared.
//!
//! What must hold: damage is never a matter of one line among many: it decides the exit code.

use super::store;
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::log::{
    World,
    verify::{Finding, Progress, Report, Severity},
};
use serde_json::{Value, json};
use std::{io::Write, path::PathBuf};

/// Verifies the store that the URL names.
pub(super) async fn verify(url: &str, args: &args::Verify, out: &mut Out) -> Outcome {
    let Ok(dir) = factum::folder(url) else {
        return Err(Failure::usage(format!("verify reads a folder, and {url} names none"))
            .help("stop the server, and use --at file:FOLDER"));
    };
    let work = tokio::task::spawn_blocking(move || folder(dir));
    let ended = work.await.map_err(|error| Failure::new(Exit::Failure, error))?;
    let report = ended?;
    show(&report, args.json, out)?;
    verdict(&report)
}

fn folder(dir: PathBuf) -> Outcome<Report> {
    let bar = console::progress("verifying", Some(0), true);
    let mut watch = |Progress { bytes, bytes_total }| {
        bar.set_length(bytes_total);
        bar.set_position(bytes);
        true
    };
    let verified = factum::log::verify::verify(&dir, &World::default(), &mut watch);
    bar.finish_and_clear();
    verified.map_err(store::embedded)
}

fn show(report: &Report, as_json: bool, out: &mut Out) -> Outcome {
    if as_json {
        writeln!(out, "{}", json(report))?;
    } else {
        for finding in &report.findings {
            writeln!(
                out,
                "{:<9} {}",
                finding.severity.name(),
                console::printable(&finding.to_string())
            )?;
        }
        writeln!(out, "{}", summary(report))?;
    }
    Ok(out.flush()?)
}

fn summary(report: &Report) -> String {
    let Report { events, head, segments, bytes, .. } = report;
    let mut said = format!(
        "{events} events up to position {head} in {segments} segments, {bytes} bytes: {}",
        if report.is_damaged() { "damaged" } else { "whole" }
    );
    if report.streams_not_followed > 0 {
        let count = report.streams_not_followed;
        said += &format!("; {count} streams were not followed from segment to segment");
    }
    if report.findings_left_out > 0 {
        said += &format!("; {} more findings", report.findings_left_out);
    }
    said
}

fn json(report: &Report) -> Value {
    let finding = |finding: &Finding| {
        let lost =
            finding.lost.as_ref().map(|lost| json!({"from": lost.start(), "to": lost.end()}));
        json!({
            "severity": finding.severity.name(),
            "file": finding.file.display().to_string(),
            "offset": finding.offset,
            "what": finding.defect.to_string(),
            "lost": lost,
        })
    };
    json!({
        "damaged": report.is_damaged(),
        "store": report.store.map(|store| store.to_string()),
        "head": report.head.0,
        "segments": report.segments,
        "events": report.events,
        "bytes": report.bytes,
        "streamsNotFollowed": report.streams_not_followed,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "findingsLeftOut": report.findings_left_out,
    })
}

fn verdict(report: &Report) -> Outcome {
    if !report.is_damaged() {
        return Ok(());
    }
    let of = |severity| report.findings.iter().filter(|one| one.severity == severity).count();
    let (damage, derived) = (of(Severity::Damage), of(Severity::Derived));
    let cause = format!("{damage} findings of damage to the log, {derived} to files made from it");
    let cure = if damage == 0 {
        "delete the files that are named while the store is closed: opening makes them anew, and \
         nothing is lost"
    } else {
        "restore the folder from a backup; until then what is whole can be read, with `factum read \
         --all` or `factum export`"
    };
    Err(Failure::new(Exit::Store, cause).help(cure))
}
