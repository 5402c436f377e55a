//! `factum quarantine`: a damaged segment of a folder put aside, and brought back.
//!
//! What must hold: nothing changes before somebody has read what is lost and said `--accept-loss`.

use super::{store, tier};
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::Position;
use factum::log::quarantine::{
    self, Loss, LostEvent, LostRange, Quarantine, QuarantineError, Undo, UndoError, Undone,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write,
    path::{Path, PathBuf},
};

/// Streams that are named for people; `--json` lists every event.
const STREAMS_MAX: usize = 20;

/// Says what is lost of damaged segments, puts them aside, or brings one back.
pub(super) async fn quarantine(url: &str, args: args::Quarantine, out: &mut Out) -> Outcome {
    let dir = factum::folder(url).map_err(|_| {
        Failure::usage(format!("this works on a folder that nobody has open, and {url} is none"))
            .help("stop the server, and use --at file:FOLDER with its folder")
    })?;
    store::must_exist(&dir)?;
    match args.undo {
        Some(segment) => {
            let (json, from) = (args.json, args.from);
            let undone = blocking(move || bring_back(&dir, segment.0, from)).await?;
            brought_back(&undone, json, out)
        }
        None => {
            let (json, accepts) = (args.json, args.accept_loss);
            let losses = blocking(move || put_aside(&dir, &args)).await?;
            if json { show_json(&losses, accepts, out) } else { show(&losses, accepts, out) }
        }
    }
}

/// The disk is no place for an async worker.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Failure::new(Exit::Failure, error))?
}

fn put_aside(dir: &Path, args: &args::Quarantine) -> Outcome<Vec<Loss>> {
    let segments: Vec<Position> = args.segments.iter().map(|segment| segment.0).collect();
    let what = Quarantine { dir, segments: &segments, keeps_whole: !args.no_salvage };
    let (world, _) = tier::world(dir)?;
    let bar = console::progress("reading all segments", None, false);
    let run = if args.accept_loss { quarantine::quarantine } else { quarantine::survey };
    let ran = run(&what, &world);
    bar.finish_and_clear();
    ran.map_err(not_put_aside)
}

fn not_put_aside(error: QuarantineError) -> Failure {
    let (exit, cure) = match error {
        QuarantineError::Open(error) => return store::embedded(error),
        QuarantineError::Whole { .. } => (Exit::BadInput, "leave it out"),
        QuarantineError::NoSegment { .. } => {
            (Exit::NotFound, "without a segment, all that are damaged are meant")
        }
        QuarantineError::Unplaced { .. } | QuarantineError::Moved { .. } => {
            (Exit::Store, "the folder is as it was")
        }
        _ => (Exit::Failure, "run it again when that is mended: it goes on"),
    };
    Failure::new(exit, error).help(cure)
}

fn bring_back(dir: &Path, segment: Position, from: Option<PathBuf>) -> Outcome<Undone> {
    let (world, _) = tier::world(dir)?;
    let what = Undo { dir, segment, from: from.as_deref() };
    quarantine::undo(&what, &world).map_err(|error| {
        let (exit, cure) = match error {
            UndoError::Open(error) => return store::embedded(error),
            UndoError::NothingLost { .. } => (Exit::NotFound, "the folder is as it was"),
            UndoError::NoFile { .. } => {
                (Exit::NotFound, "give its file, or the folder of a backup, with --from")
            }
            UndoError::Misfit { .. } => (
                Exit::Store,
                "mend that file, or give another with --from: the segment's, or a backup's \
                 folder. The store is as it was",
            ),
            _ => (Exit::Failure, "the store is as it was: run it again when that is mended"),
        };
        Failure::new(exit, error).help(cure)
    })
}

fn brought_back(undone: &Undone, as_json: bool, out: &mut Out) -> Outcome {
    let Undone { file, positions } = undone;
    if as_json {
        let object = json!({"file": file.display().to_string(), "positions": positions});
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "brought back from {}: {positions} positions", file.display())?;
    }
    Ok(())
}

fn show(losses: &[Loss], accepts: bool, out: &mut Out) -> Outcome {
    if losses.is_empty() {
        writeln!(out, "nothing is damaged: there is nothing to put aside")?;
        return Ok(());
    }
    for loss in losses {
        writeln!(out, "{}", console::printable(&told(loss)))?;
    }
    if losses.iter().any(|loss| loss.lost.iter().any(|lost| !lost.is_known)) {
        console::warning(
            "of some events nothing is known: streams that end there go on from what is left, so \
             that revisions are given again, retries are taken for new, and what their metadata \
             hid there is not hidden any more",
        );
    }
    if losses.iter().any(|loss| loss.is_newest) {
        console::warning(
            "the newest segment is damaged: whether events came after the last position that is \
             known cannot be known, and such positions are given again",
        );
    }
    if !accepts {
        console::note(
            "nothing has changed. A backup has more: `factum restore`. To go on without what is \
             lost, run this again with --accept-loss",
        );
    }
    Ok(())
}

/// A segment for people.
fn told(loss: &Loss) -> String {
    let Loss { base, last, file, kept, .. } = loss;
    let mut text = format!("{} (positions {base} to {last})", file.display());
    let mut line = |line: String| write!(text, "\n  {line}").expect("a String takes all");
    for spot in &loss.damage {
        line(format!("damaged at offset {}: {}", spot.offset, spot.what));
    }
    for LostRange { positions, is_known } in &loss.lost {
        let known = if *is_known { "" } else { ", of which nothing is known" };
        line(match (positions.start(), positions.end()) {
            (from, upto) if from == upto => format!("lost: position {from}{known}"),
            (from, upto) => format!("lost: positions {from} to {upto}{known}"),
        });
    }
    let streams = streams(&loss.events);
    for (stream, (revisions, types)) in streams.iter().take(STREAMS_MAX) {
        let types: Vec<String> =
            types.iter().map(|(event_type, count)| format!("{event_type} {count}")).collect();
        line(format!("  {stream}: {} ({})", revisions, types.join(", ")));
    }
    if streams.len() > STREAMS_MAX {
        line(format!("  and {} streams more: --json lists all", streams.len() - STREAMS_MAX));
    }
    line(format!("stays: {kept} events"));
    if let Some(aside) = &loss.aside {
        line(format!("put aside: {}", aside.display()));
    }
    text
}

/// What is lost of each stream: which revisions, and how many of each type.
fn streams(events: &[LostEvent]) -> BTreeMap<&str, (String, BTreeMap<&str, u64>)> {
    let mut of_streams: BTreeMap<&str, (Vec<u64>, BTreeMap<&str, u64>)> = BTreeMap::new();
    for event in events {
        let (revisions, types) = of_streams.entry(event.stream.as_str()).or_default();
        revisions.push(event.revision);
        *types.entry(event.event_type.as_str()).or_default() += 1;
    }
    let said = |revisions: Vec<u64>| match revisions.as_slice() {
        [one] => format!("revision {one}"),
        [first, .., last] if last - first + 1 == revisions.len() as u64 => {
            format!("revisions {first} to {last}")
        }
        some => {
            let (first, last) = (some.first().unwrap_or(&0), some.last().unwrap_or(&0));
            format!("{} revisions from {first} to {last}", some.len())
        }
    };
    of_streams.into_iter().map(|(stream, (all, types))| (stream, (said(all), types))).collect()
}

fn show_json(losses: &[Loss], accepts: bool, out: &mut Out) -> Outcome {
    let segments: Vec<Value> = losses.iter().map(object).collect();
    writeln!(out, "{}", json!({"accepted": accepts, "segments": segments}))?;
    Ok(())
}

fn object(loss: &Loss) -> Value {
    let lost = |lost: &LostRange| {
        let (from, to) = (lost.positions.start(), lost.positions.end());
        json!({"from": from, "to": to, "known": lost.is_known})
    };
    let event = |event: &LostEvent| {
        json!({
            "position": event.position.0,
            "stream": event.stream.as_str(),
            "revision": event.revision,
            "type": event.event_type.as_str(),
        })
    };
    json!({
        "segment": loss.base.0,
        "last": loss.last.0,
        "file": loss.file.display().to_string(),
        "newest": loss.is_newest,
        "damage": loss.damage.iter()
            .map(|spot| json!({"offset": spot.offset, "what": spot.what}))
            .collect::<Vec<_>>(),
        "kept": loss.kept,
        "lost": loss.lost.iter().map(lost).collect::<Vec<_>>(),
        "events": loss.events.iter().map(event).collect::<Vec<_>>(),
        "aside": loss.aside.as_ref().map(|aside| aside.display().to_string()),
    })
}
