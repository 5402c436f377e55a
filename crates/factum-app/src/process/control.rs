//! A process from outside: registering it, looking at an instance, helping one that is parked.

use super::{
    Process,
    instance::{self, Given, StepError},
    journal::{Held, Journal, JournalError},
    mailbox::Mailbox,
    record::{Parked, Status},
    runner::Runner,
    timeline::Timeline,
};
use crate::{
    App, AppBuilder,
    bus::Letters,
    consumer::{Options, Spec, StartError},
    describe::Kind,
};
use factum_core::{Append, AppendError, InvalidName, ReadError, StreamName};
use std::{marker::PhantomData, sync::Arc};

/// How often somebody's help is tried, at most, where the instance takes steps meanwhile.
const ATTEMPTS_MAX: u32 = 20;
/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;

impl AppBuilder {
    /// Registers a process, with what becomes of an event that it cannot take.
    ///
    /// A name with `-` does not compile: a process has a category of streams of its own.
    pub fn process<P: Process>(mut self, options: impl Into<Options>) -> Self {
        const { assert!(no_dash(P::NAME), "the name of a process has no `-`") };
        self.registered.follow::<P::Event>(P::NAME, P::VERSION, Kind::process::<P::Command>());
        let named = |source| StartError::Name { name: P::NAME.to_owned(), source };
        let spec = Spec::of::<P::Event>(P::NAME, 1, &options.into()).map_err(named);
        self.plan(spec, |app| {
            let journal = Journal::new(app.store().clone(), P::NAME);
            let journal = journal.expect("the spec was made of the same name");
            let letters = Letters::new(app.clone(), P::NAME);
            Runner::<P>::new(app.clone(), journal, letters, Arc::<Mailbox>::default())
        })
    }
}

/// Whether a name leaves a category whole.
pub(crate) const fn no_dash(name: &str) -> bool {
    let mut rest = name.as_bytes();
    while let [first, more @ ..] = rest {
        if *first == b'-' {
            return false;
        }
        rest = more;
    }
    true
}

/// Why an instance could not be seen or helped.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// The key makes no stream: it is too long, or holds a NUL.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no instance with this key.
    #[error("there is no instance {key:?}")]
    None {
        /// Which key.
        key: String,
    },
    /// It is not parked: there is nothing to help it with. Somebody else may have.
    #[error("instance {key:?} is not parked")]
    NotParked {
        /// Which key.
        key: String,
    },
    /// Its stream holds what is no step of a process.
    #[error("{stream:?} cannot be read: {why}")]
    Foreign {
        /// Which stream.
        stream: StreamName,
        /// What is wrong.
        why: String,
    },
    /// The step could not be taken.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The store does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take the step.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<JournalError> for ControlError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Read(error) => Self::Read(error),
            JournalError::Name(error) => Self::Name(error),
            JournalError::Foreign { stream, why } => Self::Foreign { stream, why },
        }
    }
}

/// What an instance is.
#[derive(Clone, PartialEq, Debug)]
pub struct InstanceStatus {
    /// It takes inputs: it has neither ended nor failed.
    pub running: bool,
    /// Why it failed, if it did.
    pub failed: Option<String>,
    /// Commands that are to be done yet, by name.
    pub to_do: Vec<String>,
    /// Timers that are set, by name.
    pub timers: Vec<String>,
    /// Why the first of the commands is not done until somebody helps.
    pub parked: Option<Parked>,
}

/// A process of an app: of every instance of the app, as it is in the store.
#[derive(Debug)]
pub struct ProcessHandle<'a, P> {
    app: &'a App,
    marker: PhantomData<fn() -> P>,
}

impl App {
    /// A process, to look at its instances and to help them. It need not run in this app.
    #[must_use]
    pub fn process<P: Process>(&self) -> ProcessHandle<'_, P> {
        ProcessHandle { app: self, marker: PhantomData }
    }
}

impl<P: Process> ProcessHandle<'_, P> {
    fn journal(&self) -> Result<Journal, InvalidName> {
        Journal::new(self.app.store().clone(), P::NAME)
    }

    /// What an instance is now; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The store does not answer, or the key makes no stream.
    pub async fn status(&self, key: &str) -> Result<Option<InstanceStatus>, ControlError> {
        let record = self.journal()?.load(key).await?.record;
        Ok(record.map(|record| InstanceStatus {
            running: !record.is_over(),
            to_do: record.outbox.iter().map(|sent| sent.command.name.clone()).collect(),
            timers: record.timers.iter().map(|timer| timer.name.clone()).collect(),
            failed: match record.status {
                Status::Compensating(why) | Status::Failed(why) => Some(why),
                Status::Running | Status::Ended => None,
            },
            parked: record.parked,
        }))
    }

    /// The state of an instance as this program reads it; `None` where there is no instance.
    ///
    /// # Errors
    ///
    /// The store does not answer, or the state cannot be read.
    pub async fn state(&self, key: &str) -> Result<Option<P>, ControlError> {
        let record = self.journal()?.load(key).await?.record;
        Ok(record.map(|record| instance::state_of::<P>(&record)).transpose()?)
    }

    /// What happened to an instance, step by step. Its `Display` is worth reading.
    ///
    /// # Errors
    ///
    /// The store does not answer, or the key makes no stream.
    pub async fn timeline(&self, key: &str) -> Result<Timeline, ControlError> {
        let steps = self.journal()?.steps(key).await?;
        Ok(Timeline::of(P::NAME, key, steps))
    }

    /// Does the command that is parked again.
    ///
    /// # Errors
    ///
    /// The instance is not parked, or the store does not take it.
    pub async fn resume(&self, key: &str, by: impl Into<String>) -> Result<(), ControlError> {
        let by = by.into();
        self.help(key, || Given::Resumed { by: by.clone() }).await
    }

    /// Leaves out the command that is parked, as if there had been nothing to do.
    ///
    /// # Errors
    ///
    /// The instance is not parked, or the store does not take it.
    pub async fn skip(&self, key: &str, by: impl Into<String>) -> Result<(), ControlError> {
        let by = by.into();
        self.help(key, || Given::Skipped { by: by.clone() }).await
    }

    async fn help(
        &self,
        key: &str,
        given: impl Fn() -> Given<P::Event>,
    ) -> Result<(), ControlError> {
        let journal = self.journal()?;
        let mut attempts = 0;
        loop {
            let Held { expected, record } = journal.load(key).await?;
            let given = given();
            let ctx = self.app.context(&given.metadata(record.as_ref()));
            let Some(record) = record else {
                return Err(ControlError::None { key: key.to_owned() });
            };
            let step = instance::advance::<P>(key, Some(record), given, &ctx)?;
            let Some((id, step)) = step else {
                return Err(ControlError::NotParked { key: key.to_owned() });
            };
            let event = journal.step(id, &step, ctx.metadata());
            let event = event.map_err(|error| StepError::Json { why: error.to_string() })?;
            let stream = journal.stream(key)?;
            let append = Append::to(stream.clone(), [event]).expecting(stream, expected);
            match self.app.send(append, SENDS_MAX).await {
                Err(AppendError::Conflict { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        // Where it runs here it begins at its checkpoint again, and finds the step.
        if let Some(consumer) = self.app.consumer(P::NAME) {
            consumer.kick();
        }
        Ok(())
    }
}
