//! `factum tier`: sealed segments in object storage; and how every other command reaches them.

use super::store;
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
    top::whole,
};
use factum::log::{
    LogStore, Options, World,
    tier::{Keep, MoveError, Moved, TierDisk, TierOptions, TieredSegment, location},
};
use factum_tier::ObjectTier;
use serde_json::json;
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often it is looked whether there is something to move.
const PAUSE: Duration = Duration::from_secs(10);

/// The world of a folder: with its object storage, if it has segments there.
pub(super) fn world(dir: &Path) -> Outcome<(World, Option<TierDisk>)> {
    let world = World::default();
    let known = location(&*world.disk, dir).map_err(|fault| Failure::new(Exit::Store, fault))?;
    let Some(url) = known else {
        return Ok((world, None));
    };
    let tier = at(&url)?;
    Ok((of(&tier), Some(tier)))
}

fn at(url: &str) -> Outcome<TierDisk> {
    let storage = ObjectTier::open(url).map_err(|error| {
        Failure::usage(error).help(
            "it is s3://bucket/prefix?region=…&endpoint=…, with AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY in the environment",
        )
    })?;
    // In front of the usual disk: what is compressed here is moved as it is read.
    Ok(TierDisk::new(World::default().disk, Arc::new(storage), TierOptions::default()))
}

/// The world of a folder that is to be served, and who moves its segments meanwhile.
pub(super) fn served(
    dir: &Path,
    url: Option<String>,
    keep: Option<u64>,
) -> Outcome<(World, Option<Mover>)> {
    let (world, known) = world(dir)?;
    let tier = match (known, url) {
        (Some(known), Some(url)) if known.location() != url => {
            let cause = format!("{} has moved segments to {}", dir.display(), known.location());
            return Err(Failure::usage(cause)
                .help("leave --tier out, or fetch them back first with `factum tier fetch`"));
        }
        (Some(known), _) => Some(known),
        (None, Some(url)) => Some(at(&url)?),
        (None, None) => None,
    };
    match (tier, keep) {
        (None, None) => Ok((world, None)),
        (Some(tier), None) => Ok((of(&tier), None)),
        (Some(tier), Some(bytes)) => {
            let keep = Keep { bytes, segments: usize::MAX };
            Ok((of(&tier), Some(Mover { dir: dir.to_owned(), tier, keep })))
        }
        (None, Some(_)) => {
            let cause = format!("{} does not say where segments go", dir.display());
            Err(Failure::usage(cause).help("name the storage: --tier s3://bucket/prefix"))
        }
    }
}

fn of(tier: &TierDisk) -> World {
    World { disk: Arc::new(tier.clone()), ..World::default() }
}

/// Moves segments out while a store is served.
pub(super) struct Mover {
    dir: PathBuf,
    tier: TierDisk,
    keep: Keep,
}

/// A mover at work; dropped, it ends with the segment that it is moving.
pub(super) struct Moving {
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    pub(super) fn start(self) -> Outcome<Moving> {
        // Nothing is sent: that it is dropped says to end.
        let (stop, stopped) = mpsc::sync_channel(0);
        let thread = thread::Builder::new().name("factum-mover".into()).spawn(move || {
            let mut told = String::new();
            while stopped.recv_timeout(PAUSE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let goes_on = || stopped.try_recv() == Err(mpsc::TryRecvError::Empty);
                let moved = self.tier.move_out(&self.dir, self.keep, &mut { goes_on });
                let failed = moved.err().map_or_else(String::new, |error| error.to_string());
                // The same is said once, and asked again after each pause.
                if !failed.is_empty() && failed != told {
                    console::warning(format_args!("no segments are moved: {failed}"));
                }
                told = failed;
            }
        });
        let thread = thread.map_err(|error| Failure::new(Exit::Failure, error))?;
        Ok(Moving { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so; what it moved is moved.
            let _ = thread.join();
        }
    }
}

/// Shows, moves, or fetches.
pub(super) async fn tier(args: args::Tier, out: &mut Out) -> Outcome {
    match args {
        args::Tier::Status { dir, json } => {
            let segments = blocking(move || segments(&dir)).await?;
            show(&segments, json, out)
        }
        args::Tier::Move { dir, to, keep, keep_segments } => {
            let keep = keep_of(keep, keep_segments)?;
            let moved = blocking(move || move_out(&dir, to.as_deref(), keep)).await?;
            Ok(told(out, moved, "moved")?)
        }
        args::Tier::Fetch { dir } => {
            let fetched = blocking(move || fetch_back(&dir)).await?;
            Ok(told(out, fetched, "fetched back")?)
        }
    }
}

fn keep_of(bytes: Option<u64>, segments: Option<usize>) -> Outcome<Keep> {
    if bytes.is_none() && segments.is_none() {
        return Err(Failure::usage("it is not said how much stays here").help(
            "--keep 10GiB keeps so much of the newest, --keep-segments 4 so many; --keep 0 moves \
             every sealed segment",
        ));
    }
    Ok(Keep { bytes: bytes.unwrap_or(u64::MAX), segments: segments.unwrap_or(usize::MAX) })
}

/// The disk and the storage are no place for an async worker.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Failure::new(Exit::Failure, error))?
}

fn segments(dir: &Path) -> Outcome<Vec<TieredSegment>> {
    store::must_exist(dir)?;
    let (_, tier) = world(dir)?;
    // Without a storage all segments are here, and the question is the same.
    let tier = tier.map_or_else(|| at("s3://none?region=none"), Ok)?;
    tier.segments(dir).map_err(not_moved)
}

fn move_out(dir: &Path, to: Option<&str>, keep: Keep) -> Outcome<Moved> {
    store::must_exist(dir)?;
    let tier = match (to, world(dir)?.1) {
        (Some(url), _) => at(url)?,
        (None, Some(known)) => known,
        (None, None) => {
            return Err(Failure::usage(format!("{} does not say where to", dir.display()))
                .help("name the storage the first time: --to s3://bucket/prefix"));
        }
    };
    // Opening locks the folder, and writes the index files that are missing.
    let world = of(&tier);
    let open = LogStore::open(dir, Options { world, ..Options::default() });
    let open = open.map_err(store::embedded)?;
    let moved = tier.move_out(dir, keep, &mut || true).map_err(not_moved);
    open.close();
    moved
}

fn fetch_back(dir: &Path) -> Outcome<Moved> {
    store::must_exist(dir)?;
    let (world, Some(tier)) = world(dir)? else {
        return Ok(Moved::default());
    };
    let open = LogStore::open(dir, Options { world, ..Options::default() });
    let open = open.map_err(store::embedded)?;
    let fetched = tier.fetch_back(dir, &mut || true).map_err(not_moved);
    open.close();
    fetched
}

fn not_moved(error: MoveError) -> Failure {
    let exit = match error {
        MoveError::Cold { .. } => Exit::Unreachable,
        MoveError::Elsewhere { .. } => Exit::Usage,
        _ => Exit::Store,
    };
    Failure::new(exit, error).help("what was moved stays moved; the same command goes on")
}

fn told(out: &mut Out, moved: Moved, what: &str) -> std::io::Result<()> {
    #[allow(clippy::cast_precision_loss, reason = "shown to people")]
    let bytes = whole(Some(moved.bytes as f64));
    writeln!(out, "{} segments {what}, {bytes} bytes", moved.segments)
}

fn show(segments: &[TieredSegment], as_json: bool, out: &mut Out) -> Outcome {
    if as_json {
        let one = |one: &TieredSegment| {
            let TieredSegment { base, bytes, object } = one;
            json!({ "base": base, "bytes": bytes, "object": object })
        };
        writeln!(out, "{}", json!({ "segments": segments.iter().map(one).collect::<Vec<_>>() }))?;
        return Ok(());
    }
    for TieredSegment { base, bytes, object } in segments {
        let place = object.as_deref().map_or("here".to_owned(), console::printable);
        writeln!(out, "{base:>20}  {bytes:>12}  {place}")?;
    }
    let moved = segments.iter().filter(|one| one.object.is_some());
    let (count, bytes) =
        moved.fold((0_u64, 0), |(count, bytes), one| (count + 1, bytes + one.bytes));
    let here: u64 = segments.iter().filter(|one| one.object.is_none()).map(|one| one.bytes).sum();
    writeln!(out, "{count} segments moved, {bytes} bytes; {here} bytes are here")?;
    Ok(())
}
