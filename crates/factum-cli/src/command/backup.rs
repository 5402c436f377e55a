//! `factum backup` and `factum restore`: a copy to go back to, and going back.

use super::{remote::Remote, store, verify};
use crate::{
    args,
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::log::{
    World,
    backup::{self, BackupError, Restore, RestoreError, Restored, Taken, Upto},
    copy::{Source, SourceError},
    verify::Progress,
};
use factum::{Position, Timestamp};
use indicatif::ProgressBar;
use serde_json::json;
use std::{io::Write, path::PathBuf};

/// Takes a backup of the store that the URL names.
pub(super) async fn backup(url: &str, args: args::Backup, out: &mut Out) -> Outcome {
    let json = args.json;
    let taken = match factum::folder(url) {
        Ok(dir) => {
            store::must_exist(&dir)?;
            blocking(move || of_folder(&dir, &args)).await?
        }
        Err(_) => {
            let remote = Remote::patient(verify::copies(url)?);
            blocking(move || take(&remote, &args)).await?
        }
    };
    report(&taken, json, out)
}

/// Restores a store from a backup.
pub(super) async fn restore(args: args::Restore, out: &mut Out) -> Outcome {
    let json = args.json;
    let to = factum::folder(&args.to).map_err(|_| {
        Failure::usage(format!("restore writes a folder, and {} names none", args.to))
            .help("use --to file:FOLDER")
    })?;
    let dir = to.clone();
    let restored = blocking(move || into_folder(&dir, &args)).await?;
    let Restored { store, head, recorded_at } = restored;
    if json {
        let object = json!({
            "store": store.to_string(), "head": head.0, "recordedAt": time(recorded_at),
        });
        writeln!(out, "{object}")?;
    } else {
        let at = time(recorded_at).map_or_else(String::new, |at| format!(", recorded at {at}"));
        writeln!(out, "restored up to position {head}{at}, into {}", to.display())?;
    }
    Ok(())
}

/// The disk is no place for an async worker.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Failure::new(Exit::Failure, error))?
}

fn of_folder(dir: &std::path::Path, args: &args::Backup) -> Outcome<Taken> {
    let store = store::folder(dir)?;
    let taken = take(&store.reader(), args);
    store.close();
    taken
}

fn take(source: &dyn Source, args: &args::Backup) -> Outcome<Taken> {
    let bar = console::progress("backing up", Some(0), true);
    let mut watch = |progress| watch(&bar, progress);
    let taken = backup::backup(source, &args.dest, &World::default(), &mut watch);
    bar.finish_and_clear();
    taken.map_err(not_taken)
}

fn into_folder(dir: &std::path::Path, args: &args::Restore) -> Outcome<Restored> {
    let upto = match (args.to_position, args.to_time) {
        (Some(position), _) => Upto::Position(Position(position)),
        (_, Some(moment)) => Upto::Time(moment),
        _ => Upto::End,
    };
    let what = Restore { backup: &args.backup, dir, upto, is_new_store: args.new_id };
    let bar = console::progress("restoring", Some(0), true);
    let mut watch = |progress| watch(&bar, progress);
    let restored = backup::restore(&what, &World::default(), &mut watch);
    bar.finish_and_clear();
    restored.map_err(|error| not_restored(error, dir.into()))
}

fn watch(bar: &ProgressBar, progress: Progress) -> bool {
    bar.set_length(progress.bytes_total);
    bar.set_position(progress.bytes);
    true
}

fn report(taken: &Taken, as_json: bool, out: &mut Out) -> Outcome {
    let Taken { manifest, bytes_copied, segments_copied } = taken;
    let (head, segments) = (manifest.head, manifest.segments.len());
    if as_json {
        let object = json!({
            "store": manifest.store.to_string(),
            "head": head.0,
            "takenAt": time(manifest.taken_at),
            "recordedAt": time(manifest.recorded_at),
            "segments": segments,
            "segmentsCopied": segments_copied,
            "bytesCopied": bytes_copied,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(
            out,
            "backed up to position {head}: {segments} segments, {segments_copied} of them copied, \
             {bytes_copied} bytes"
        )?;
    }
    Ok(())
}

/// A moment for people and programs; `None` for one before all times.
fn time(moment: Timestamp) -> Option<String> {
    (moment.0 > i64::MIN).then(|| crate::time::rfc3339(moment))
}

fn not_taken(error: BackupError) -> Failure {
    let cure = match &error {
        BackupError::Locked { .. } => "wait for it, or choose another folder",
        BackupError::NotEmpty { .. } => "choose a folder that is empty, or is not there",
        BackupError::Inside { .. } => "choose a folder elsewhere, best on another disk",
        BackupError::OtherStore { .. } => {
            "choose another folder: a folder holds one store's backup"
        }
        BackupError::Ahead { .. } => {
            "choose another folder, so that what the backup has and the store has not is kept"
        }
        BackupError::Manifest { .. } => {
            "take a new backup into another folder; what is whole in this one `factum verify` says"
        }
        BackupError::Full { .. } => {
            "free some space and run it again: it goes on. The backup before is as it was"
        }
        BackupError::Source(SourceError::Unreachable { .. }) => {
            "start the server, and run it again: it goes on. The backup before is as it was"
        }
        BackupError::Source(_) => {
            "`factum verify` says what is damaged; the backup before is as it was"
        }
        _ => "run it again: it goes on. The backup before is as it was",
    };
    let exit = match error {
        BackupError::Full { .. } | BackupError::Disk(_) => Exit::Failure,
        BackupError::Source(SourceError::Unreachable { .. }) => Exit::Unreachable,
        _ => Exit::Store,
    };
    Failure::new(exit, error).help(cure)
}

fn not_restored(error: RestoreError, dir: PathBuf) -> Failure {
    let (exit, cure) = match &error {
        RestoreError::NoBackup { .. } => (Exit::NotFound, "check the folder's name".to_owned()),
        RestoreError::NotEmpty { .. } => {
            (Exit::Store, "choose a folder that is empty, or is not there".to_owned())
        }
        RestoreError::Locked { .. } => (Exit::Store, "wait for it, or stop it".to_owned()),
        RestoreError::Beyond { head, .. } => {
            (Exit::BadInput, format!("ask for {head} at most, or leave --to-position out"))
        }
        RestoreError::Damaged { .. } | RestoreError::Manifest { .. } => (
            Exit::Store,
            "`factum verify` says what of the backup is damaged; use another one".to_owned(),
        ),
        RestoreError::Full { .. } => {
            let cure =
                format!("free some space and run it again: it begins {} anew", dir.display());
            (Exit::Failure, cure)
        }
        _ => (Exit::Failure, "run it again: it begins anew".to_owned()),
    };
    Failure::new(exit, error).help(cure)
}
