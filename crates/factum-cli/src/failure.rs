//! How the command ends: one exit code a kind of failure, a cause, and a cure.
//!
//! Every error of the libraries becomes a [`Failure`] here or where more is known about it (which
//! stream, which row). What must hold: a failure always says why, and where something can be done
//! about it, what.

use factum::{AppendError, ReadError};
use std::{fmt, io, process::ExitCode};

/// The exit codes. Documented in `docs/cli.md` and in `factum --help`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// An expectation does not hold; nothing was written.
    Conflict = 3,
    /// The stream, or the store, is not there: never was, or was deleted.
    NotFound = 4,
    /// Nobody answers at the URL, or the store is overloaded.
    Unreachable = 5,
    /// The input is bad: a file, a row, a JSON text.
    BadInput = 6,
    /// The store is there and cannot be used so: held by another process, damaged, read-only, of
    /// another version, or it lacks what was asked for.
    Store = 7,
    /// A store was verified: it is whole, but for events that are known to be lost.
    Lost = 8,
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    cause: String,
    cure: Option<String>,
    /// The reader of our output went away: no failure to anybody.
    is_quiet: bool,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, cause: impl fmt::Display) -> Self {
        Self { exit, cause: cause.to_string(), cure: None, is_quiet: false }
    }

    pub(crate) fn usage(cause: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, cause)
    }

    pub(crate) fn bad_input(cause: impl fmt::Display) -> Self {
        Self::new(Exit::BadInput, cause)
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub(crate) fn help(mut self, cure: impl fmt::Display) -> Self {
        self.cure = Some(cure.to_string());
        self
    }

    /// Says so on standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.is_quiet {
            return ExitCode::SUCCESS;
        }
        crate::console::error(&self.cause, self.cure.as_deref());
        ExitCode::from(self.exit as u8)
    }
}

/// A failed write to standard output. A closed pipe ends the command quietly.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let is_quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Self { is_quiet, ..Self::new(Exit::Failure, format!("the output failed: {error}")) }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        let (cause, cure) = match &error {
            AppendError::ReadOnly { .. } => unusable(&error.to_string()),
            _ => split(&error.to_string()),
        };
        let exit = match error {
            AppendError::Conflict { .. }
            | AppendError::IdReused { .. }
            | AppendError::Tracked { .. } => Exit::Conflict,
            AppendError::Tombstoned { .. } => Exit::NotFound,
            AppendError::Invalid(_) | AppendError::TooLarge { .. } => Exit::BadInput,
            AppendError::Overloaded
            | AppendError::Unknown { .. }
            | AppendError::Unavailable { .. } => Exit::Unreachable,
            AppendError::Unsupported { .. } | AppendError::ReadOnly { .. } => Exit::Store,
            _ => Exit::Failure,
        };
        Self { cure, ..Self::new(exit, cause) }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let (cause, cure) = match &error {
            ReadError::Damaged { .. } => unusable(&error.to_string()),
            _ => split(&error.to_string()),
        };
        let exit = match error {
            ReadError::Invalid(_) => Exit::BadInput,
            ReadError::Overloaded | ReadError::Unavailable { .. } => Exit::Unreachable,
            ReadError::Unsupported { .. } | ReadError::Damaged { .. } => Exit::Store,
            _ => Exit::Failure,
        };
        Self { cure, ..Self::new(exit, cause) }
    }
}

/// The errors of the core say "cause; cure" in one line.
fn split(message: &str) -> (String, Option<String>) {
    match message.split_once("; ") {
        Some((cause, cure)) => (cause.to_owned(), Some(cure.to_owned())),
        None => (message.to_owned(), None),
    }
}

const INDEX: &str = "delete the index file that is named: opening the store makes it anew, and \
                     nothing is lost";
const FULL: &str = "free some space, and open the store again: whoever serves it must be restarted";
const FAILED: &str = "check the disk, and open the store again: whoever serves it must be \
                      restarted; reads go on, with `factum read --all` or `factum export`";
const DAMAGED: &str = "restore the folder from a backup, or see with `factum quarantine` what \
                       is lost; until then what is whole can be read, with `factum read --all` or \
                       `factum export`, up to what is damaged";
const LOST: &str = "go on after the last of these positions (`--from`), or bring them back with \
                    `factum quarantine --undo`";
const LOST_OF: &str = "read what is on the other side (`--from` a later revision, \
                       `--backwards`), or bring them back with `factum quarantine --undo`";

/// What the engine says where it cannot go on, and what to do about it: each way of saying so ends
/// in a cure for programs, which gives way to the one for people.
fn unusable(message: &str) -> (String, Option<String>) {
    if let Some((cause, source)) = message.split_once(": write to ") {
        return (cause.to_owned(), Some(format!("write to {source}")));
    }
    let cures = [
        (": delete this file", INDEX),
        (": free some space", FULL),
        ("; nothing more is written", FAILED),
        (". Restore the folder", DAMAGED),
        ("; go on after position", LOST),
        ("; read what is on the other side", LOST_OF),
    ];
    let said = cures.iter().find_map(|(end, cure)| Some((message.split_once(end)?.0, *cure)));
    let (cause, cure) = said.unwrap_or((message, DAMAGED));
    (cause.to_owned(), Some(cure.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(closed.is_quiet);
        assert!(!Failure::from(io::Error::other("disk full")).is_quiet);
    }

    fn check_unusable(message: &str, cause: &str, cure: &str) {
        let (actual, help) = unusable(message);
        assert_eq!((&*actual, help.as_deref()), (cause, Some(cure)), "{message}");
    }

    #[test]
    fn what_cannot_go_on_has_a_cure() {
        let frame = "f at offset 9: a frame is damaged, and acknowledged events follow it";
        check_unusable(frame, frame, DAMAGED);
        let index = "f at offset 9: the index is damaged";
        let cure = "delete this file, and opening the store makes it anew";
        check_unusable(&format!("{index}: {cure}"), index, INDEX);
        check_unusable(
            "x; position 2 cannot be read. Restore the folder from a backup",
            "x; position 2 cannot be read",
            DAMAGED,
        );
        check_unusable("x are lost; go on after position 7, or", "x are lost", LOST);
        check_unusable("x is lost; read what is on the other side of them", "x is lost", LOST_OF);
        check_unusable("x: free some space, and open the store again", "x", FULL);
        check_unusable("x; nothing more is written until", "x", FAILED);
        let replica = "a replica of factum://h:1: write to factum://h:1 instead";
        check_unusable(replica, "a replica of factum://h:1", "write to factum://h:1 instead");
    }

    #[test]
    fn each_family_has_its_code() {
        for (error, exit) in [
            (AppendError::Overloaded, Exit::Unreachable),
            (AppendError::ReadOnly { why: "damaged".into() }, Exit::Store),
            (AppendError::TooLarge { what: "bytes", actual: 2, limit: 1 }, Exit::BadInput),
        ] {
            assert_eq!(Failure::from(error).exit, exit);
        }
    }
}
