//! `factum erase`: of a folder here, or of the store that a server serves.

use super::{scavenge, store};
use crate::{
    args,
    console::Out,
    failure::{Exit, Failure, Outcome},
};
use factum::{
    Revision,
    client::operations::Operations,
    log::{
        LogStore, Options,
        rewrite::{EraseError, EraseRequest, MaintenanceError},
    },
};
use serde_json::json;
use std::{io::Write, path::Path};

/// Erases an event.
pub(super) async fn erase(url: &str, args: &args::Erase, out: &mut Out) -> Outcome {
    let (position, already) = match factum::folder(url) {
        Ok(dir) => {
            store::must_exist(&dir)?;
            in_folder(&dir, args).await?
        }
        Err(_) if url.starts_with("factum://") => {
            let operations =
                Operations::new(url).map_err(|error| Failure::usage(error.to_string()))?;
            let event = (args.stream.as_str(), args.revision);
            let erased = operations.erase(event, (&args.reason, &args.by)).await;
            erased.map_err(scavenge::refused)?
        }
        Err(_) => {
            return Err(Failure::usage(format!("erase is not possible over {url}"))
                .help("use --at factum://HOST:PORT, or --at file:FOLDER without a server"));
        }
    };
    if args.json {
        writeln!(out, "{}", json!({"position": position, "already": already}))?;
    } else if already {
        writeln!(out, "the event at position {position} was erased before")?;
    } else {
        writeln!(
            out,
            "erased the event at position {position}; backups and freed blocks of the disk may \
             hold its bytes still"
        )?;
    }
    Ok(out.flush()?)
}

async fn in_folder(dir: &Path, args: &args::Erase) -> Outcome<(u64, bool)> {
    let log = LogStore::open(dir, Options::default()).map_err(store::embedded)?;
    let request = EraseRequest {
        stream: args.stream.clone(),
        revision: Revision(args.revision),
        reason: args.reason.clone(),
        by: args.by.clone(),
    };
    let erased = log.erase(request).await;
    log.close();
    let erased = erased.map_err(not_erased)?;
    Ok((erased.position.0, erased.already))
}

fn not_erased(error: EraseError) -> Failure {
    let (exit, cure) = match &error {
        EraseError::NotFound { .. } => (Exit::NotFound, "`factum read` shows what is there"),
        EraseError::OfTheStore { .. } => (Exit::Store, "delete the stream, or set its metadata"),
        EraseError::Text { .. } => (Exit::Usage, "say it in fewer words, without personal data"),
        EraseError::Maintenance(MaintenanceError::ReadOnly { .. }) => {
            (Exit::Store, "`factum verify` says what is damaged")
        }
        _ => (Exit::Failure, "run it again when that is mended: it ends what was begun"),
    };
    Failure::new(exit, error).help(cure)
}
