//! The classical aggregate: load it, let it record events, save it. The one-stream case of a
//! decision, for code that is written that way; a [`super::Decision`] is shorter, and is made again
//! by itself.

use super::{Boundary, LoadError, Part, State, execute::SENDS_MAX, mark::Mark};
use crate::{
    App, Ctx, Metadata,
    event::{Draft, EncodeError, EventSet},
};
use factum_core::{Append, AppendError, EventStore, Revision, StreamName};
use std::fmt::Display;

/// A state with the events that it has recorded since it was loaded.
///
/// ```
/// use factum_app::{App, MemoryStore, State, event};
///
/// #[event("counter.stepped")]
/// struct Stepped { #[tag] counter: u32, by: u32 }
/// #[derive(Clone, Default)]
/// struct Counter { count: u32 }
/// impl State for Counter {
///     type Event = Stepped;
///     fn evolve(self, event: &Stepped) -> Self { Self { count: self.count + event.by } }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::new(MemoryStore::new());
/// let mut counter = app.aggregate::<Counter>(7).await?;
/// counter.record(Stepped { counter: 7, by: 2 });
/// counter.record(Stepped { counter: 7, by: 3 });
/// assert_eq!((counter.state().count, counter.uncommitted().len()), (5, 2));
/// app.save(&mut counter).await?;
/// assert_eq!(counter.version().unwrap().0, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Aggregate<S: State> {
    stream: StreamName,
    read: Mark,
    state: S,
    uncommitted: Vec<S::Event>,
}

impl<S: State> Aggregate<S> {
    /// Its state, with what is not saved yet.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The revision of its last saved event; none where there is none.
    #[must_use]
    pub fn version(&self) -> Option<Revision> {
        self.read.revision
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// What it has recorded and is not saved yet.
    #[must_use]
    pub fn uncommitted(&self) -> &[S::Event] {
        &self.uncommitted
    }

    /// This happened.
    pub fn record(&mut self, event: impl Into<S::Event>) {
        let event = event.into();
        self.state = std::mem::take(&mut self.state).evolve(&event);
        self.uncommitted.push(event);
    }
}

/// Why an aggregate was not loaded.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum AggregateError {
    /// The events of its state go to more than one stream. Write a decision with a boundary
    /// instead.
    #[error(
        "the events of this state go to more than one stream: write a decision over a boundary"
    )]
    ManyStreams,
    /// It could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Why an aggregate was not saved. It is as it was, with what it has recorded.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum SaveError {
    /// Others have written to its stream, or it was deleted, since it was loaded. Load it again and
    /// decide anew.
    #[error("{stream} has changed since it was loaded: load it again and decide anew")]
    Changed {
        /// Its stream.
        stream: StreamName,
    },
    /// An event goes to another stream than the aggregate's. Correct its tag.
    #[error("{event_type} would go to {found}, and the aggregate is {stream}: correct its tag")]
    OtherStream {
        /// Which event.
        event_type: &'static str,
        /// Where it would go.
        found: StreamName,
        /// The aggregate's stream.
        stream: StreamName,
    },
    /// An event could not be made ready.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The store did not take the events, and asking again did not help.
    #[error(transparent)]
    Append(AppendError),
}

impl App {
    /// Loads an aggregate.
    ///
    /// # Errors
    ///
    /// The events of the state go to more than one stream, or cannot be read.
    pub async fn aggregate<S: State>(
        &self,
        id: impl Display,
    ) -> Result<Aggregate<S>, AggregateError> {
        let boundary = Boundary::one::<S::Event>(&id.to_string()).map_err(LoadError::from)?;
        let [Part::Stream(stream)] = boundary.parts() else {
            return Err(AggregateError::ManyStreams);
        };
        let loaded = self.load::<S>(&boundary).await?;
        Ok(Aggregate {
            stream: stream.clone(),
            read: loaded.marks().first().copied().unwrap_or_default(),
            state: loaded.state().clone(),
            uncommitted: Vec::new(),
        })
    }

    /// Saves what an aggregate has recorded. Of nothing it is no error.
    ///
    /// # Errors
    ///
    /// [`SaveError`] says why, and the aggregate is as it was.
    pub async fn save<S: State>(&self, aggregate: &mut Aggregate<S>) -> Result<(), SaveError> {
        if aggregate.uncommitted.is_empty() {
            return Ok(());
        }
        let append = self.append_of(aggregate)?;
        let receipt = match self.send(append, SENDS_MAX).await {
            Err(AppendError::Conflict { .. }) => {
                return Err(SaveError::Changed { stream: aggregate.stream.clone() });
            }
            done => done.map_err(SaveError::Append)?,
        };
        let revision = receipt.streams.first().map(|written| written.last);
        aggregate.read = Mark { at: receipt.position, revision };
        aggregate.uncommitted.clear();
        Ok(())
    }

    fn append_of<S: State>(&self, aggregate: &Aggregate<S>) -> Result<Append, SaveError> {
        let ctx: Ctx = self.context(&Metadata::default());
        let mut append = Append::default();
        for event in &aggregate.uncommitted {
            let Draft { stream, data } = Draft::new(event, ctx.id(), ctx.metadata())?;
            if stream != aggregate.stream {
                let (event_type, found) = (event.info().event_type, stream);
                let stream = aggregate.stream.clone();
                return Err(SaveError::OtherStream { event_type, found, stream });
            }
            append.events.push((stream, data));
        }
        let part = Part::Stream(aggregate.stream.clone());
        aggregate.read.check(&part, self.store().capabilities(), &mut append.checks);
        Ok(append)
    }
}
