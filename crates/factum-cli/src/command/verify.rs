//! `factum verify`: every byte of a store, read and compared, here or by the server that has it.
//!
//! What must hold: damage is never a matter of one line among many: it decides the exit code.

use super::{store, tier};
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::{
    Uuid,
    client::{
        CopiesClient, CopyError,
        copies::{VerifyFinding, VerifyProgress, VerifyReport, verify_response::Content},
    },
    log::verify::{Finding, Progress, Report},
};
use serde_json::{Value, json};
use std::{io::Write, path::PathBuf};

/// Verifies the store that the URL names.
pub(super) async fn verify(url: &str, args: &args::Verify, out: &mut Out) -> Outcome {
    let report = match factum::folder(url) {
        Ok(dir) => {
            let work = tokio::task::spawn_blocking(move || folder(dir));
            work.await.map_err(|error| Failure::new(Exit::Failure, error))??
        }
        Err(_) => server(url).await?,
    };
    show(&report, args.json, out)?;
    verdict(&report)
}

fn folder(dir: PathBuf) -> Outcome<VerifyReport> {
    let (world, _) = tier::world(&dir)?;
    let bar = console::progress("verifying", Some(0), true);
    let mut watch = |Progress { bytes, bytes_total }| {
        bar.set_length(bytes_total);
        bar.set_position(bytes);
        true
    };
    let verified = factum::log::verify::verify(&dir, &world, &mut watch);
    bar.finish_and_clear();
    verified.map(|report| told(&report)).map_err(store::embedded)
}

/// Has a server verify its store.
async fn server(url: &str) -> Outcome<VerifyReport> {
    let client = copies(url)?;
    let refused = |error| unverified(url, &error);
    let mut answers = client.verify().await.map_err(refused)?;
    let bar = console::progress("verifying", Some(0), true);
    let report = loop {
        let answer = answers.message().await.map_err(|status| refused(client.error(&status)))?;
        match answer.and_then(|answer| answer.content) {
            Some(Content::Progress(VerifyProgress { bytes, bytes_total })) => {
                bar.set_length(bytes_total);
                bar.set_position(bytes);
            }
            Some(Content::Report(report)) => break report,
            None => {
                let cause = format!("{} ended before it had verified all", client.authority());
                return Err(Failure::new(Exit::Unreachable, cause).help("run it again"));
            }
        }
    };
    bar.finish_and_clear();
    Ok(report)
}

/// A client for the bytes of the store that a URL names.
pub(super) fn copies(url: &str) -> Outcome<CopiesClient> {
    if !url.starts_with("factum:") {
        let cause = format!("this needs the bytes of a store, and {url} does not give them");
        return Err(Failure::usage(cause).help("use --at factum://HOST:PORT, or --at file:FOLDER"));
    }
    CopiesClient::new(url).map_err(|error| store::client(error, url))
}

fn unverified(url: &str, error: &CopyError) -> Failure {
    let (exit, cure) = match error {
        CopyError::Unavailable { .. } => (Exit::Unreachable, "start it, or try again later"),
        _ => (Exit::Store, "stop it, and use --at file: with its folder"),
    };
    Failure::new(exit, format!("{url}: {error}")).help(cure)
}

/// A report as a server tells it.
fn told(report: &Report) -> VerifyReport {
    let finding = |finding: &Finding| VerifyFinding {
        severity: finding.severity.name().to_owned(),
        file: finding.file.display().to_string(),
        offset: finding.offset,
        what: finding.defect.to_string(),
        lost_from: finding.lost.as_ref().map_or(0, |lost| *lost.start()),
        lost_to: finding.lost.as_ref().map_or(0, |lost| *lost.end()),
    };
    VerifyReport {
        store: report.store.map(|store| store.as_bytes().to_vec().into()).unwrap_or_default(),
        head: report.head.0,
        segments: report.segments,
        events: report.events,
        bytes: report.bytes,
        damaged: report.is_damaged(),
        findings: report.findings.iter().map(finding).collect(),
        findings_left_out: report.findings_left_out,
        streams_not_followed: report.streams_not_followed,
    }
}

fn show(report: &VerifyReport, as_json: bool, out: &mut Out) -> Outcome {
    if as_json {
        writeln!(out, "{}", json(report))?;
    } else {
        for finding in &report.findings {
            writeln!(out, "{}", console::printable(&line(finding)))?;
        }
        writeln!(out, "{}", summary(report))?;
    }
    Ok(out.flush()?)
}

fn line(finding: &VerifyFinding) -> String {
    let VerifyFinding { severity, file, offset, what, lost_from, lost_to } = finding;
    let lost = match (lost_from, lost_to) {
        (0, _) => String::new(),
        (from, to) if from == to => format!("; position {from} cannot be read"),
        (from, to) => format!("; positions {from} to {to} cannot be read"),
    };
    format!("{severity:<9} {file} at offset {offset}: {what}{lost}")
}

fn summary(report: &VerifyReport) -> String {
    let VerifyReport { events, head, segments, bytes, .. } = report;
    let mut said = format!(
        "{events} events up to position {head} in {segments} segments, {bytes} bytes: {}",
        match (report.damaged, has_lost(report)) {
            (true, _) => "damaged",
            (false, true) => "whole, but for what is lost",
            (false, false) => "whole",
        }
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

fn json(report: &VerifyReport) -> Value {
    let finding = |finding: &VerifyFinding| {
        let (from, to) = (finding.lost_from, finding.lost_to);
        json!({
            "severity": finding.severity,
            "file": finding.file,
            "offset": finding.offset,
            "what": finding.what,
            "lost": (from > 0).then(|| json!({"from": from, "to": to})),
        })
    };
    json!({
        "damaged": report.damaged,
        "store": Uuid::from_slice(&report.store).ok().map(|store| store.to_string()),
        "head": report.head,
        "segments": report.segments,
        "events": report.events,
        "bytes": report.bytes,
        "streamsNotFollowed": report.streams_not_followed,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "findingsLeftOut": report.findings_left_out,
    })
}

fn verdict(report: &VerifyReport) -> Outcome {
    if !report.damaged {
        return if has_lost(report) { Err(lost()) } else { Ok(()) };
    }
    let of = |severity| report.findings.iter().filter(|one| one.severity == severity).count();
    let (damage, derived) = (of("damage"), of("derived"));
    let cause = format!("{damage} findings of damage to the log, {derived} to files made from it");
    let cure = if damage == 0 {
        "delete the files that are named while the store is closed: opening makes them anew, and \
         nothing is lost"
    } else {
        "restore the folder from a backup, or see with `factum quarantine` what is lost; until \
         then what is whole can be read, with `factum read --all` or `factum export`"
    };
    Err(Failure::new(Exit::Store, cause).help(cure))
}

fn has_lost(report: &VerifyReport) -> bool {
    report.findings.iter().any(|finding| finding.severity == "lost")
}

/// Nothing new: whoever accepted it knows of it.
fn lost() -> Failure {
    Failure::new(Exit::Lost, "all is whole but what is known to be lost").help(
        "nothing: it was accepted. Where the damaged segment was mended, or a backup has it, \
         `factum quarantine --undo` brings it back",
    )
}
