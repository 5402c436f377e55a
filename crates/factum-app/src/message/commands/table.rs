//! Which commands are answered, and from where they come.

use super::{answer::Told, asked::Asked};
use crate::{
    App, Decision, Dispatch, ExecuteError, Reply,
    decision::run,
    message::{Consumer, Publisher, Subscription},
    world::BoxFuture,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// Why a command has no answer yet.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) retryable: bool,
    pub(super) why: String,
}

type Does =
    Arc<dyn for<'a> Fn(&'a App, &'a Asked) -> BoxFuture<'a, Result<Told, Trouble>> + Send + Sync>;

/// How a command is done.
#[derive(Clone)]
struct Entry {
    does: Does,
    /// What it comes to is facts that carry its key, or it looks for them itself.
    decided: bool,
}

/// Commands that other services may send, and where they come from: for
/// [`AppBuilder::answer`](crate::AppBuilder::answer).
#[derive(Clone)]
#[must_use = "answers are for `AppBuilder::answer`"]
pub struct Answers {
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) subscription: Subscription,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) attempts_max: u32,
    pub(super) close: Duration,
    table: BTreeMap<&'static str, Entry>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.table.keys();
        f.debug_struct("Answers").field("commands", &names.collect::<Vec<_>>()).finish()
    }
}

impl Answers {
    /// To commands that come by this subscription. As many are done side by side as it hands out at
    /// a time, those with one key one after the other.
    pub fn new(
        consumer: impl Consumer,
        subscription: Subscription,
        publisher: impl Publisher,
    ) -> Self {
        Self {
            consumer: Arc::new(consumer),
            subscription,
            publisher: Arc::new(publisher),
            attempts_max: u32::MAX,
            close: Duration::from_secs(10),
            table: BTreeMap::new(),
        }
    }

    /// Also to this one, or to those that are decided together. Its refusal is told as data; one
    /// that never refuses is a [`Answers::command`].
    pub fn decision<D: Decision>(self) -> Self
    where
        D::Refusal: Serialize,
    {
        let does: Does = Arc::new(|app, asked| Box::pin(decide::<D>(app, asked)));
        self.with(D::NAMES, &Entry { does, decided: true })
    }

    /// Also to this one. Its refusal is told as text.
    ///
    /// One with an effect outside of the store may be done more than once, with the same
    /// [`Call::key`](crate::Call::key): hand the key on to whom you call.
    pub fn command<C: Dispatch>(self) -> Self {
        let does: Does = Arc::new(|app, asked| Box::pin(dispatch::<C>(app, asked)));
        self.with(C::NAMES, &Entry { does, decided: false })
    }

    fn with(mut self, names: &[&'static str], entry: &Entry) -> Self {
        self.table.extend(names.iter().map(|name| (*name, entry.clone())));
        self
    }

    /// A command that cannot be done is tried so often at most, and then its sender hears that it
    /// failed, and it goes to the broker's dead letters. Otherwise it is tried until it expires, as
    /// what is away may come back.
    pub fn attempts_max(self, attempts_max: u32) -> Self {
        Self { attempts_max: attempts_max.max(1), ..self }
    }

    /// How long, at most, it waits at the end for what it was just doing; 10 s otherwise.
    pub fn close(self, close: Duration) -> Self {
        Self { close, ..self }
    }

    /// Whether a command of this name is known; otherwise, why not.
    pub(super) fn knows(&self, name: &str) -> Result<(), String> {
        if self.table.contains_key(name) {
            return Ok(());
        }
        Err(format!("no command {name:?} is known here; known are {:?}", self.table.keys()))
    }

    pub(super) fn is_decided(&self, name: &str) -> bool {
        self.table.get(name).is_some_and(|entry| entry.decided)
    }

    /// Does a command.
    pub(super) async fn does(&self, app: &App, asked: &Asked) -> Result<Told, Trouble> {
        match self.table.get(asked.name.as_str()) {
            Some(entry) => (entry.does)(app, asked).await,
            None => Err(Trouble { retryable: false, why: "it is not known".to_owned() }),
        }
    }
}

fn read<C: DeserializeOwned>(asked: &Asked) -> Result<C, Told> {
    serde_json::from_slice(&asked.data)
        .map_err(|error| Told::Misunderstood { why: format!("{}: {error}", asked.name) })
}

async fn decide<D: Decision>(app: &App, asked: &Asked) -> Result<Told, Trouble>
where
    D::Refusal: Serialize,
{
    let command: D = match read(asked) {
        Ok(command) => command,
        Err(told) => return Ok(told),
    };
    match run(app, &command, &asked.call).await {
        Ok(receipt) => Ok(match receipt.nothing {
            Some(why) => Told::Nothing { why: why.into_owned() },
            None => Told::Done { receipt: Some(receipt.into()) },
        }),
        Err(ExecuteError::Refused(refusal)) => Ok(Told::Refused {
            why: format!("{refusal:?}"),
            data: serde_json::to_value(&refusal).ok(),
        }),
        Err(error) => Err(Trouble { retryable: error.is_retryable(), why: error.to_string() }),
    }
}

async fn dispatch<C: Dispatch>(app: &App, asked: &Asked) -> Result<Told, Trouble> {
    let command: C = match read(asked) {
        Ok(command) => command,
        Err(told) => return Ok(told),
    };
    match command.dispatch(app, asked.call.clone()).await {
        Ok(Reply::Done) => Ok(Told::Done { receipt: None }),
        Ok(Reply::Nothing(why)) => Ok(Told::Nothing { why }),
        Ok(Reply::Refused(why)) => Ok(Told::Refused { why, data: None }),
        Ok(Reply::Failed(why)) => Ok(Told::Failed { why }),
        Err(error) => Err(Trouble { retryable: error.retryable, why: error.to_string() }),
    }
}
