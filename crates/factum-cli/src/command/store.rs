//! Opening the store that `--at` names, and saying why where it cannot be opened.

use super::tier;
use crate::failure::{Exit, Failure, Outcome};
use factum::{
    AnyStore, OpenError,
    log::{LogStore, Options},
};
use std::path::Path;

/// Whether a folder may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// The store must be there: a mistyped folder is not made.
    Existing,
    /// A folder that is not there is made.
    Creating,
}

/// Opens the store.
pub(crate) async fn open(url: &str, access: Access) -> Outcome<AnyStore> {
    if access == Access::Existing
        && let Ok(dir) = factum::folder(url)
    {
        must_exist(&dir)?;
    }
    if let Ok(dir) = factum::folder(url) {
        return Ok(AnyStore::new(folder(&dir)?));
    }
    factum::open(url).await.map_err(|error| failure(error, url))
}

/// Opens the store in a folder, with the object storage that it knows.
pub(super) fn folder(dir: &Path) -> Outcome<LogStore> {
    let (world, _) = tier::world(dir)?;
    open_in(dir, Options { world, ..Options::default() })
}

/// Opens the store in a folder as these options say.
pub(super) fn open_in(dir: &Path, options: Options) -> Outcome<LogStore> {
    LogStore::open(dir, options).map_err(embedded)
}

/// A mistyped folder is not made.
pub(super) fn must_exist(dir: &Path) -> Outcome {
    if dir.exists() { Ok(()) } else { Err(absent(dir)) }
}

fn absent(dir: &Path) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no store in {}", dir.display()))
        .help("check the folder's name; `factum append` and `factum import` make a new store")
}

fn failure(error: OpenError, url: &str) -> Failure {
    match error {
        OpenError::Client(error) => client(error, url),
        OpenError::Embedded(error) => embedded(error),
        OpenError::NotBuiltIn { .. } => Failure::new(Exit::Store, error),
        OpenError::UnknownScheme { .. } | OpenError::NoFolder { .. } | OpenError::NoFile { .. } => {
            Failure::usage(error).help("give it with --at, or set FACTUM_URL")
        }
        other => Failure::new(Exit::Store, other),
    }
}

pub(super) fn client(error: factum::client::ConnectError, url: &str) -> Failure {
    use factum::client::ConnectError;
    match error {
        ConnectError::Address(error) => {
            Failure::usage(error).help("give the URL with --at, or set FACTUM_URL")
        }
        ConnectError::Unreachable { authority, why } => {
            let cause = format!("nobody answers at {authority} ({why})");
            Failure::new(Exit::Unreachable, cause).help(if url == crate::args::DEFAULT_URL {
                "start a store with `factum dev`, or name another with --at: --at file:./folder \
                 needs no server"
            } else {
                "start it, or correct the URL in --at or FACTUM_URL"
            })
        }
        other => Failure::new(Exit::Store, other),
    }
}

/// Why a folder cannot be opened, for people.
pub(super) fn embedded(error: factum::log::OpenError) -> Failure {
    use factum::log::OpenError;
    match error {
        OpenError::Locked { dir, holder } => {
            let cause = format!("{} is in use by another process", dir.display());
            Failure::new(Exit::Store, cause).help(match holder {
                Some(url) => format!("a store serves it: use --at {url} instead, or stop that one"),
                None => "stop that process first, or wait for it".to_owned(),
            })
        }
        OpenError::Newer { file, version, .. } => {
            let cause =
                format!("{} was written by a newer release (format {version})", file.display());
            Failure::new(Exit::Store, cause).help("use the release that wrote it, or a later one")
        }
        OpenError::Io { ref file, ref source, .. }
            if matches!(
                source.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            let file = file.display().to_string();
            Failure::new(Exit::Store, error)
                .help(format_args!("a store must be able to write there: check who owns {file}"))
        }
        OpenError::NoStore { dir } => absent(&dir),
        OpenError::Unfinished { .. } => {
            Failure::new(Exit::Store, error).help("run `factum restore` again: it begins anew")
        }
        other => Failure::new(Exit::Store, other),
    }
}
