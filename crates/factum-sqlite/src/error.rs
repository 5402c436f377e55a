//! What can go wrong with a file of SQLite, and what it means to an append and to a read.
//!
//! What must hold: an append is only said not to be written where that is certain.

use factum_core::{AppendError, ReadError};
use std::{path::PathBuf, sync::Arc};

/// Why no store was opened. Nothing was changed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be opened or made. Look at its folder and its permissions.
    #[error("cannot open {path:?}: {source}; its folder must exist, and be writable")]
    CannotOpen {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The file is something else. Name another one.
    #[error("{path:?} is not a database of SQLite: name another file, or a new one")]
    NotADatabase {
        /// Which file.
        path: PathBuf,
    },
    /// Another release wrote the store. Open it with that one.
    #[error("the store has format {found}, and this release knows {known}: use a newer release")]
    OtherFormat {
        /// The store's.
        found: i64,
        /// The only one known here.
        known: i64,
    },
    /// Another process holds the file. Try again when it has let go.
    #[error("the file is locked by another process for more than {waited_ms} ms: try again later")]
    Locked {
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// The file does not take the write-ahead log, which many readers beside a writer need.
    #[error(
        "the file stays in journal mode {mode:?}, and a write-ahead log is needed: put it on a \
         local disk"
    )]
    NoWriteAheadLog {
        /// The mode that it is in.
        mode: String,
    },
    /// What is stored makes no sense. Restore a backup.
    #[error("the store is damaged: {what}; restore a backup")]
    Damaged {
        /// What.
        what: Arc<str>,
    },
    /// SQLite refuses.
    #[error("SQLite refuses: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// The system gives no thread to the store.
    #[error("no thread for the store could be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    /// What an error of SQLite means where a file is opened.
    pub(crate) fn of(path: &std::path::Path, waited_ms: u64, error: Self) -> Self {
        let Self::Sqlite(source) = error else { return error };
        let path = path.to_owned();
        match Class::of(&source) {
            Class::Busy => Self::Locked { waited_ms },
            Class::NotADatabase => Self::NotADatabase { path },
            Class::CannotOpen => Self::CannotOpen { path, source },
            _ => Self::Sqlite(source),
        }
    }
}

/// What kind of failure it is: <https://www.sqlite.org/rescode.html>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Another connection holds a lock.
    Busy,
    /// The disk, or the largest size of a file, is full.
    Full,
    /// The disk failed.
    Disk,
    /// The file is damaged.
    Damaged,
    /// The file may not be written.
    ReadOnly,
    CannotOpen,
    NotADatabase,
    Other,
}

impl Class {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        // The first byte is the code; what is above says more of the same.
        match code.and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff) {
            Some(5 | 6) => Self::Busy,
            Some(8) => Self::ReadOnly,
            Some(10) => Self::Disk,
            Some(11) => Self::Damaged,
            Some(13) => Self::Full,
            Some(14) => Self::CannotOpen,
            Some(26) => Self::NotADatabase,
            _ => Self::Other,
        }
    }
}

/// Why an append failed in which nothing was written: its transaction was rolled back.
pub(crate) fn unwritten(error: &sqlx::Error) -> AppendError {
    let said = |what: &str| format!("{what}: {error}");
    match Class::of(error) {
        Class::Busy => unavailable(said("another process holds the file")),
        Class::Full => unavailable(said("the disk is full, make room")),
        class if stops(class) => AppendError::ReadOnly { why: why_stopped(error) },
        _ => unavailable(said("SQLite refuses")),
    }
}

/// Whether nothing may be written any more after such a failure, until the file is opened again.
pub(crate) fn stops(class: Class) -> bool {
    matches!(class, Class::Disk | Class::Damaged | Class::ReadOnly | Class::NotADatabase)
}

/// Why nothing is written any more.
pub(crate) fn why_stopped(error: &sqlx::Error) -> Arc<str> {
    let cure = match Class::of(error) {
        Class::ReadOnly => "make the file and its folder writable, and open it again",
        Class::Damaged | Class::NotADatabase => "the file is damaged: restore a backup",
        _ => "the disk failed: look at it, and open the file again",
    };
    format!("{error}; {cure}").into()
}

fn unavailable(why: String) -> AppendError {
    AppendError::Unavailable { why: why.into() }
}

/// Why a read failed.
pub(crate) fn unread(error: &sqlx::Error) -> ReadError {
    match (Class::of(error), error) {
        (Class::Damaged | Class::NotADatabase, _)
        | (_, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
            ReadError::Damaged { what: error.to_string().into() }
        }
        _ => ReadError::Unavailable { why: format!("SQLite refuses: {error}").into() },
    }
}

/// The store is closed.
pub(crate) const CLOSED: &str = "the store is closed: open it again";

pub(crate) fn closed() -> ReadError {
    ReadError::Unavailable { why: CLOSED.into() }
}
