//! Commands, sets of them, and how one is done that nobody waits for.

use super::{Decision, ExecuteError, Receipt};
use crate::{App, Metadata};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What somebody wants to be done. [`macro@crate::command`] implements it.
///
/// The name is pinned, as the commands of a process are stored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "not a command",
    note = "write `#[command(\"domain.action\")]` above the struct"
)]
pub trait Command:
    Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// The pinned name: `order.place`; of several that are decided together what theirs begin with.
    const NAME: &'static str;

    /// The names of all that it may be.
    const NAMES: &'static [&'static str] = &[Self::NAME];

    /// The keys of its tags: what it is about.
    const TAGS: &'static [&'static str] = &[];

    /// Which of them it is.
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// The values of its tags, with their keys.
    fn tag_values(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// How a command is to be done, and why.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Call {
    /// A command of the same name that was done with the same key answers with its first receipt.
    pub key: Option<String>,
    /// What is known about it; its events get the same.
    pub metadata: Metadata,
}

/// What a command came to, for who stores it: a process, a log.
#[derive(Clone, PartialEq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done.
    Done,
    /// There was nothing to do, and why.
    Nothing(String),
    /// It was refused, and how (its `Debug`).
    Refused(String),
    /// It could not be done, however often it was tried. Whether it was done in part, nobody knows.
    /// Only who asked for so many attempts hears this ([`crate::Steps::attempt`]).
    Failed(String),
}

impl Reply {
    /// For who watches.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Nothing(_) => "nothing",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// Why a command has no reply.
#[derive(thiserror::Error, Debug)]
#[error("{command}: {source}")]
pub struct DispatchError {
    /// Which command.
    pub command: &'static str,
    /// Whether the same command may be done later without anybody's help.
    pub retryable: bool,
    /// What went wrong.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A command that can be done without knowing its type: every [`Decision`] is, and a command with
/// an effect outside of the store (a payment, a mail) is by an implementation of yours.
///
/// It may be done more than once with the same [`Call::key`]: hand the key on to whom you call.
pub trait Dispatch: Command {
    /// Does it.
    fn dispatch(
        self,
        app: &App,
        call: Call,
    ) -> impl Future<Output = Result<Reply, DispatchError>> + Send;
}

impl<D: Decision> Dispatch for D {
    async fn dispatch(self, app: &App, call: Call) -> Result<Reply, DispatchError> {
        let command = self.name();
        match super::run(app, &self, &call).await {
            Ok(Receipt { nothing: Some(why), .. }) => Ok(Reply::Nothing(why.into_owned())),
            Ok(_) => Ok(Reply::Done),
            Err(ExecuteError::Refused(refusal)) => Ok(Reply::Refused(format!("{refusal:?}"))),
            Err(error) => Err(DispatchError {
                command,
                retryable: error.is_retryable(),
                source: error.to_string().into(),
            }),
        }
    }
}

/// The commands that a process may send. `derive(CommandSet)` implements it for an enum.
pub trait CommandSet: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The names of its members.
    fn names() -> Vec<&'static str>;

    /// The name of this one.
    fn name(&self) -> &'static str;

    /// This one as JSON.
    ///
    /// # Errors
    ///
    /// As its `Serialize`.
    fn encode(&self) -> Result<Value, serde_json::Error>;

    /// From a name and JSON; `None` where the name is not of the set.
    fn decode(name: &str, value: Value) -> Option<Result<Self, serde_json::Error>>;

    /// Does it. See [`Dispatch`].
    fn dispatch(
        self,
        app: &App,
        call: Call,
    ) -> impl Future<Output = Result<Reply, DispatchError>> + Send;
}

/// A command alone is a set of one, or of those that are decided together.
impl<C: Dispatch> CommandSet for C {
    fn names() -> Vec<&'static str> {
        C::NAMES.to_vec()
    }

    fn name(&self) -> &'static str {
        Command::name(self)
    }

    fn encode(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn decode(name: &str, value: Value) -> Option<Result<Self, serde_json::Error>> {
        C::NAMES.contains(&name).then(|| serde_json::from_value(value))
    }

    fn dispatch(
        self,
        app: &App,
        call: Call,
    ) -> impl Future<Output = Result<Reply, DispatchError>> + Send {
        Dispatch::dispatch(self, app, call)
    }
}

/// The commands of one who sends none.
#[derive(Clone, Debug, PartialEq)]
pub enum NoCommand {}

impl CommandSet for NoCommand {
    fn names() -> Vec<&'static str> {
        Vec::new()
    }

    fn name(&self) -> &'static str {
        match *self {}
    }

    fn encode(&self) -> Result<Value, serde_json::Error> {
        match *self {}
    }

    fn decode(_: &str, _: Value) -> Option<Result<Self, serde_json::Error>> {
        None
    }

    async fn dispatch(self, _: &App, _: Call) -> Result<Reply, DispatchError> {
        match self {}
    }
}
