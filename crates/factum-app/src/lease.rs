//! Leases: of several instances of an app over one store, one has a name at a time.
//!
//! A lease is a stream, `$lease-NAME`: who takes it appends under the revision that it has seen, so
//! that of two only one does. That revision is the *epoch*, and a check on it ([`Lease::fence`])
//! lets no append of a former holder through. Beats are a tracked position and no events, so they
//! leave nothing behind. Nobody compares clocks: who waits takes over when it has seen no beat for
//! as long as its own clock says, and a holder that could not beat for three quarters of that has
//! left.

mod keep;
mod note;

use crate::{
    consumer::{Either, Failure, race},
    world::World,
};
use factum_core::{
    AnyStore, Append, AppendError, Check, Direction, EventStore, Expected, Read, ReadError,
    Revision, Select, StreamName, Subscribe, next_batch,
};
use note::Note;
use std::{sync::Arc, time::Duration};

/// The shortest time after which a lease may be taken over.
pub const TAKEOVER_MIN: Duration = Duration::from_millis(100);

/// The leases of one instance of an app.
#[derive(Clone, Debug)]
pub struct Leases {
    store: AnyStore,
    world: Arc<dyn World>,
    holder: String,
    takeover: Duration,
}

/// Why a lease was not had.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// The store did not answer. Try again, if it may help.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The name is none for a stream: it is too long, or holds a NUL.
    #[error("{name:?} is no name for a lease: {why}")]
    Name {
        /// Which.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Somebody else has it, or the store could not be reached for too long. Whoever had it stops.
    #[error("the lease {name:?} of epoch {epoch} is lost")]
    Lost {
        /// Which.
        name: String,
        /// The epoch that is over.
        epoch: Revision,
    },
}

impl LeaseError {
    /// Whether trying again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
            Self::Lost { .. } => true,
            Self::Name { .. } => false,
        }
    }
}

impl LeaseError {
    pub(crate) fn into_failure(self) -> Failure {
        if self.is_retryable() { Failure::away(self) } else { Failure::fatal(self) }
    }
}

/// A lease that is held, for as long as [`Lease::keep`] runs.
#[derive(Debug)]
pub struct Lease {
    of: Leases,
    name: String,
    stream: StreamName,
    epoch: Revision,
    beats: u32,
}

impl Leases {
    /// Those of an instance that another takes over from when it was not heard of for so long, and
    /// at least 100 ms.
    pub fn new(store: AnyStore, world: Arc<dyn World>, takeover: Duration) -> Self {
        let holder = note::new_id(&*world).to_string();
        Self { store, world, holder, takeover: takeover.max(TAKEOVER_MIN) }
    }

    /// Waits until this instance has the lease with a name.
    ///
    /// # Errors
    ///
    /// The store did not answer, or the name is none.
    pub async fn acquire(&self, name: &str) -> Result<Lease, LeaseError> {
        let stream = StreamName::new(&format!("$lease-{name}"))
            .map_err(|why| LeaseError::Name { name: name.to_owned(), why: why.to_string() })?;
        let mut lease =
            Lease { of: self.clone(), name: name.to_owned(), stream, epoch: Revision(0), beats: 0 };
        loop {
            let taken = match lease.last().await? {
                None => lease.take(Expected::NoStream).await?,
                Some((revision, Note::Released)) => lease.take(Expected::At(revision)).await?,
                Some((revision, Note::Taken { holder })) if holder == self.holder => Some(revision),
                Some((revision, Note::Taken { .. })) if lease.is_silent(revision).await? => {
                    lease.take(Expected::At(revision)).await?
                }
                Some(_) => None,
            };
            if let Some(epoch) = taken {
                lease.epoch = epoch;
                let beaten = self.store.tracked(&lease.source()).await?;
                let beaten = beaten.filter(|beaten| beaten >> 32 == epoch.0);
                lease.beats = beaten.map_or(0, |beaten| (beaten & u64::from(u32::MAX)) as u32);
                return Ok(lease);
            }
        }
    }
}

impl Lease {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision under which it was taken: higher each time that it changes hands.
    #[must_use]
    pub fn epoch(&self) -> Revision {
        self.epoch
    }

    /// That it is still held, as a check of an append. Whoever was taken over from appends nothing
    /// any more.
    #[must_use]
    pub fn fence(&self) -> Check {
        Check::Stream { stream: self.stream.clone(), expected: Expected::At(self.epoch) }
    }

    /// The name of the tracked position that its beats are.
    fn source(&self) -> String {
        self.stream.as_str().to_owned()
    }

    async fn last(&self) -> Result<Option<(Revision, Note)>, ReadError> {
        let read = Read::stream(self.stream.clone());
        let read = Read { direction: Direction::Backward, limit: Some(1), ..read };
        let events = self.of.store.read(read).await?.events().await?;
        Ok(events.first().map(|event| (event.revision(), Note::of(event))))
    }

    /// Takes it; `None` where somebody else was faster.
    async fn take(&self, expected: Expected) -> Result<Option<Revision>, LeaseError> {
        let note = Note::Taken { holder: self.of.holder.clone() };
        self.note(&note, expected).await
    }

    async fn note(&self, note: &Note, expected: Expected) -> Result<Option<Revision>, LeaseError> {
        let append = Append::to(self.stream.clone(), [note.event(&*self.of.world)]);
        let append = append.expecting(self.stream.clone(), expected);
        match self.of.store.append(append).await {
            Ok(receipt) => Ok(receipt.streams.first().map(|written| written.last)),
            // Whether it was done is seen when it is read again.
            Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether its holder gave no sign for as long as it takes, by the clock of who waits.
    async fn is_silent(&self, revision: Revision) -> Result<bool, ReadError> {
        let Leases { store, world, takeover, .. } = &self.of;
        let before = store.tracked(&self.source()).await?;
        let moved = self.moved(revision);
        if let Either::First(moved) = race(moved, world.sleep(*takeover)).await {
            moved?;
            return Ok(false);
        }
        Ok(store.tracked(&self.source()).await? == before)
    }

    /// Waits until somebody takes or releases it.
    async fn moved(&self, revision: Revision) -> Result<(), ReadError> {
        let select = Select::Stream(self.stream.clone());
        let subscribe = Subscribe { select, after: Some(revision.0) };
        let mut batches = self.of.store.subscribe(subscribe).await?;
        while let Some(batch) = next_batch(&mut batches).await {
            if !batch?.events.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Gives it up, so that another has it at once.
    ///
    /// # Errors
    ///
    /// The store did not take it; another takes over after a while.
    pub async fn release(self) -> Result<(), LeaseError> {
        self.note(&Note::Released, Expected::At(self.epoch)).await.map(drop)
    }
}
