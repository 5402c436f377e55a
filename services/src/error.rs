//! Why a server is not there.

use std::{error, fmt, io, time::Duration};

/// Why a server could not be installed, started or ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The program is not on this machine and could not be installed: run the command by hand.
    Missing {
        /// The program that is needed.
        program: String,
        /// The command that installs it.
        command: String,
        /// Why we could not run it.
        cause: String,
    },
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// The program ended instead of serving; the log says why.
    Ended {
        /// The program that ended.
        program: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// The program runs, and did not answer within the limit.
    TimedOut {
        /// What was waited for.
        waiting: String,
        /// How long.
        limit: Duration,
        /// The last lines that the program wrote.
        log: String,
    },
    /// A command of the program's own (`rabbitmqctl`, `psql`) refused.
    Refused {
        /// The command.
        command: String,
        /// What it wrote.
        said: String,
    },
}

impl Error {
    /// For `map_err`: what was being done when the operating system refused.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, command, cause } => {
                write!(f, "{program} is not here ({cause}); install it: {command}")
            }
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Ended { program, log } => write!(f, "{program} ended; its last lines:\n{log}"),
            Self::TimedOut { waiting, limit, log } => {
                write!(f, "{waiting}: not within {} s; last lines:\n{log}", limit.as_secs())
            }
            Self::Refused { command, said } => write!(f, "{command}: {said}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
