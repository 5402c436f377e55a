//! Why a command that was sent has no answer.

use super::super::PublishError;
use std::time::Duration;

/// Why a command has no answer.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum AskError {
    /// The command does not become JSON. Nothing was sent; correct it.
    #[error("{command} does not become JSON: {source}")]
    Encode {
        /// Which command.
        command: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The broker did not take it, and sending it again until the time was up did not help. Nobody
    /// was asked, unless the error says that this is not known.
    #[error("the command was not sent: {0}")]
    Publish(#[from] PublishError),
    /// No answer came in time. It may have been done, or be done yet: ask again with the same key,
    /// which is answered as the first time.
    #[error("no answer within {within:?}: ask again with the same key")]
    TimedOut {
        /// How long it was waited for.
        within: Duration,
    },
    /// It came too late, was not begun, and will not be. Ask again with another key, or with more
    /// time.
    #[error("it had expired when its turn came, and was not begun")]
    Expired,
    /// The other service does not know the command, or not in this shape: it is of another release,
    /// or the topic is wrong. It was not begun.
    #[error("the other service does not understand it: {why}")]
    Misunderstood {
        /// What it says.
        why: String,
    },
    /// The other service could not do it, however often it tried; the command lies among the dead
    /// letters of its broker, where that has a place for them.
    #[error("the other service could not do it: {why}")]
    Failed {
        /// What it says.
        why: String,
    },
    /// What came is no answer that this release understands. It may have been done.
    #[error("its answer cannot be read: {why}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
    /// The broker refuses the subscription to answers, so that none is heard any more. What was
    /// sent before may have been done; what is asked afterwards is not sent. Mend what is named,
    /// [start](super::RequestSettings::start) again, and ask with the same key.
    #[error("answers are not heard any more: {why}")]
    Deaf {
        /// What is wrong, and the cure.
        why: String,
    },
    /// So many commands wait for an answer already that this one was not sent. Ask later, or raise
    /// [`RequestSettings::waiting_max`](super::RequestSettings::waiting_max).
    #[error("{waiting_max} commands wait for an answer already")]
    Full {
        /// The limit.
        waiting_max: usize,
    },
}

impl AskError {
    /// Whether asking again with the same key may help, without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Publish(error) => error.is_retryable(),
            Self::TimedOut { .. } | Self::Full { .. } => true,
            Self::Encode { .. }
            | Self::Expired
            | Self::Misunderstood { .. }
            | Self::Failed { .. }
            | Self::Deaf { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}
