//! What can go wrong with a command.

use crate::{
    event::{DecodeError, EncodeError},
    personal::KeyError,
};
use factum_core::{AppendError, InvalidName, ReadError, StreamName};

/// Why a state could not be read.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The store did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The id of what is to be read makes no name. Correct it.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A fact in the boundary cannot be read. Nothing is decided without it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The keys of its personal data could not be had. See whether it
    /// [is retryable](KeyError::is_retryable).
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Why a command was not done. Nothing was written, but for [`ExecuteError::Append`] with an
/// unknown outcome.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ExecuteError<R> {
    /// The decision refused: data for who asked, not a failure.
    #[error("refused: {0:?}")]
    Refused(R),
    /// Others wrote what it reads each time it was decided. Ask again later, or make the boundary
    /// smaller.
    #[error("decided {attempts} times, and each time others had written what it reads: ask again")]
    Exhausted {
        /// How often it was decided.
        attempts: u32,
    },
    /// The command has no tag that the events of its state carry, so that nothing says what it
    /// reads. Tag a field, or write `boundary`.
    #[error(
        "`{command}` has no tag that the events of its state carry: tag a field with `#[tag]`, or \
         write `boundary`"
    )]
    NoBoundary {
        /// Which command.
        command: &'static str,
    },
    /// The decision emits what its boundary does not see, so that two such decisions could
    /// contradict each other. Widen the boundary.
    #[error(
        "`{command}` emits {event_type:?} to {stream:?}, which is outside of its boundary: widen it"
    )]
    OutsideBoundary {
        /// Which command.
        command: &'static str,
        /// What it emits.
        event_type: &'static str,
        /// To where.
        stream: StreamName,
    },
    /// A value of the command makes no name. Correct it.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// An event could not be made ready.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The state could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not take the events, and asking again did not help.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<R> ExecuteError<R> {
    /// Whether the same command may be done later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Exhausted { .. } => true,
            Self::Append(error) => error.is_retryable(),
            Self::Load(LoadError::Read(error)) => error.is_retryable(),
            Self::Load(LoadError::Keys(error)) => error.is_retryable(),
            _ => false,
        }
    }
}
