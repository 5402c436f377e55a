//! Rows of a projection in the transaction of each append, as [`projection::Inline`] says.
//!
//! Everything here runs on the writer's thread, in the transaction of an append or of a commit, so
//! that nobody else moves the checkpoint meanwhile.

use super::{generations, rows};
use crate::{Applied, BoxError, Inline, heads, read::Reader, shared::Shared};
use factum_app::projection::{self, InlineError, MISSED_MAX};
use factum_core::{AppendError, Position, Read, RecordedEvent, cursor::Plan};
use sqlx::SqliteConnection;
use std::sync::{Arc, Weak};

/// Batches of missed events, at most: of 256 KiB each.
const MISSED_BATCHES_MAX: usize = 64;

/// A projection that is kept inline in this store.
#[derive(Clone, Debug)]
pub(super) struct Inlined {
    pub(super) projection: Arc<dyn projection::Inline>,
    /// The store's, which has this one in it.
    shared: Weak<Shared>,
}

/// The generation that is read, which has one part, and nothing parked.
pub(super) struct Place {
    pub(super) view: i64,
    pub(super) generation: i64,
    pub(super) through: u64,
}

/// Why rows were not brought up to date.
enum Fault {
    /// An event cannot be applied.
    Event(InlineError),
    Sqlite(sqlx::Error),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<InlineError> for Fault {
    fn from(error: InlineError) -> Self {
        Self::Event(error)
    }
}

impl Inlined {
    pub(super) fn new(projection: Arc<dyn projection::Inline>, shared: &Arc<Shared>) -> Self {
        Self { projection, shared: Arc::downgrade(shared) }
    }

    /// By what the store knows it.
    pub(super) fn name(&self) -> String {
        let table = self.projection.table();
        format!("{}.v{}", table.name, table.version)
    }

    /// Applies what the rows have missed up to the head.
    pub(super) async fn reach_head(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        let head = heads::head(&mut *connection).await?;
        match self.reach(&mut *connection, head).await? {
            Some(place) => generations::reach(connection, &place, head).await,
            None => Ok(()),
        }
    }

    /// Applies the events of an append.
    async fn take(
        &self,
        connection: &mut SqliteConnection,
        events: &[RecordedEvent],
    ) -> Result<(), Fault> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let before = first.position().0.saturating_sub(1);
        let Some(place) = self.reach(&mut *connection, before).await? else { return Ok(()) };
        self.apply(&mut *connection, &place, events).await?;
        Ok(generations::reach(connection, &place, last.position().0).await?)
    }

    /// Brings the rows up to a position; `None` where they are left to the consumer.
    async fn reach(
        &self,
        connection: &mut SqliteConnection,
        until: u64,
    ) -> Result<Option<Place>, sqlx::Error> {
        let table = self.projection.table();
        let Some(place) = generations::inline(&mut *connection, table).await? else {
            return Ok(None);
        };
        if place.through >= until {
            return Ok(Some(place).filter(|place| place.through == until));
        }
        let missed = self.missed(&mut *connection, place.through, until).await?;
        let Some(missed) = missed else { return Ok(None) };
        match self.apply(connection, &place, &missed).await {
            Ok(()) => Ok(Some(place)),
            // The consumer's trouble, which says so.
            Err(Fault::Event(_)) => Ok(None),
            Err(Fault::Sqlite(error)) => Err(error),
        }
    }

    /// The events after a position up to another; `None` where they are too many.
    async fn missed(
        &self,
        connection: &mut SqliteConnection,
        after: u64,
        until: u64,
    ) -> Result<Option<Vec<RecordedEvent>>, sqlx::Error> {
        let Some(shared) = self.shared.upgrade() else { return Ok(None) };
        let read = Read {
            from: Some(after.saturating_add(1)),
            limit: Some(MISSED_MAX + 1),
            ..Read::query(self.projection.query().clone())
        };
        let mut reader = Reader::new(Plan::of_read(read, Position(until), None), None);
        let mut missed = Vec::new();
        for _ in 0..MISSED_BATCHES_MAX {
            let batch = reader.next_batch(&mut *connection, &shared).await?;
            missed.extend(batch.events);
            if missed.len() as u64 > MISSED_MAX {
                return Ok(None);
            }
            if batch.caught_up {
                return Ok(Some(missed));
            }
        }
        Ok(None)
    }

    async fn apply(
        &self,
        connection: &mut SqliteConnection,
        place: &Place,
        events: &[RecordedEvent],
    ) -> Result<(), Fault> {
        let keys = self.projection.keys(events)?;
        if keys.is_empty() {
            return Ok(());
        }
        let of = (place.view, place.generation);
        let held = rows::load(&mut *connection, of, &keys).await?;
        let changes = self.projection.changes(events, held.into_iter().flatten().collect())?;
        Ok(rows::write(connection, of, &changes).await?)
    }

    fn refusal(&self, fault: Fault) -> BoxError {
        match fault {
            Fault::Sqlite(error) => Box::new(error),
            Fault::Event(error) => {
                let name = &self.projection.table().name;
                let what = format!("the inline projection {name:?} refuses it: {error}");
                Box::new(AppendError::Unsupported { what: what.into() })
            }
        }
    }
}

impl Inline for Inlined {
    fn apply<'a>(
        &'a self,
        connection: &'a mut SqliteConnection,
        events: &'a [RecordedEvent],
    ) -> Applied<'a> {
        Box::pin(async move {
            let taken = self.take(connection, events).await;
            taken.map_err(|fault| self.refusal(fault))
        })
    }
}
