//! A replica: a folder that holds what another store has written, byte for byte, and is read.
//!
//! Whole frames of the source's log, durable there, are checked, written, synced, put into the
//! index, and only then shown to readers. So appends, positions, revisions, recorded times and
//! tracked positions are those of the source, and the folder of a replica is the folder of a store:
//! whoever opens it as one goes on in it.
//!
//! What must hold:
//!
//! - Readers see a front of the source's log: whole appends, durable here, and never less later.
//! - A frame says *durable* of the source's disk. Before it is written, all that it speaks of is
//!   synced here: a power cut would make damage of it otherwise.
//! - Nothing of its own is ever written to a segment: no frame, no seal, no new segment.
//! - A source that is another store, or has another history, is refused, and nothing is changed.
//!
//! [`Replica::step`] does one thing at a time on the caller's thread, as [`crate::Writer::step`]
//! does; [`crate::LogStore::follow`] puts a thread around it.

mod agree;
mod error;
mod grow;
mod open;
mod segments;

pub use error::ReplicaError;

use crate::{
    copy::{Held, Inventory, Length, Source, Walk},
    error::Fault,
    recovery::Closed,
    segment::Segment,
    shared::Shared,
    write::Unindexed,
};
use agree::{Mine, Own, Todo, Unlike, decide};
use factum_core::{Position, Timestamp};
use std::{ops::Range, sync::Arc};

/// Bytes of the log's end that are compared with the source's before anything is added, at most.
const COMPARED_BYTES: u64 = 4096;

/// What adds to a replica's folder. There is one of it, as there is one writer of a store.
#[derive(Debug)]
pub struct Replica {
    shared: Arc<Shared>,
    newest: Arc<Segment>,
    /// The end of the newest segment: all before is whole and durable.
    walk: Walk,
    /// Zeroes are written, and durable, up to here.
    zeroed: u64,
    /// Where the last frame begins, or some bytes before the end.
    last_frame: u64,
    /// The source has the same end, as far as it was asked.
    is_agreed: bool,
    unindexed: Vec<Arc<Segment>>,
    /// The seed of a segment that was refused: the source has lost what is here.
    refused: Option<u64>,
    /// Why nothing is added any more until the folder is opened again.
    failed: Option<Fault>,
}

impl Replica {
    /// The position of the last event that readers see.
    #[must_use]
    pub fn head(&self) -> Position {
        self.shared.head()
    }

    /// When the last append was recorded, at the source.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        Timestamp(self.walk.last_ns)
    }

    /// How long its log is.
    #[must_use]
    pub fn length(&self) -> Length {
        Length { base: self.newest.base(), end: self.walk.at }
    }

    /// Does one thing of what is to be done until the replica is as this inventory of the source
    /// says: grows the newest segment by some appends, fetches the next one, or one that was
    /// rewritten. False if there is nothing to do.
    ///
    /// # Errors
    /// [`ReplicaError`] says why; what readers see is as it was.
    pub fn step(
        &mut self,
        source: &dyn Source,
        inventory: &Inventory,
    ) -> Result<bool, ReplicaError> {
        if let Some(fault) = &self.failed {
            return Err(ReplicaError::Disk(fault.clone()));
        }
        let done = self.one(source, inventory);
        match &done {
            Err(ReplicaError::Disk(fault)) => self.failed = Some(fault.clone()),
            // Whoever answers next may be another.
            Err(_) => self.is_agreed = false,
            Ok(_) => {}
        }
        done
    }

    fn one(&mut self, source: &dyn Source, inventory: &Inventory) -> Result<bool, ReplicaError> {
        let todo = decide(&self.mine(inventory), inventory);
        let todo = todo.map_err(|unlike| self.unlike(unlike, inventory))?;
        if !self.is_agreed && !matches!(todo, Todo::Anew(_)) {
            self.compare(source, inventory)?;
        }
        match todo {
            Todo::Nothing => return Ok(false),
            Todo::Grow(held) => self.grow(source, &held)?,
            Todo::Anew(held) => self.anew(source, &held)?,
            Todo::Next(held) => self.next(source, &held)?,
            Todo::Replace(held) => self.replace(source, &held)?,
        }
        Ok(true)
    }

    /// What there is, of what the inventory speaks of.
    fn mine(&self, inventory: &Inventory) -> Mine {
        let from = inventory.segments.first().map_or(0, |held| held.base);
        let segments = self.shared.segments();
        let of = |segment: &Arc<Segment>| Own {
            base: segment.base(),
            seed: segment.seed(),
            origin: segment.header.origin,
        };
        Mine {
            store: self.newest.header.store,
            head: self.head().0,
            tail: self.walk.at,
            is_sealed: self.walk.is_sealed,
            segments: segments.iter().filter(|one| one.base() >= from).map(of).collect(),
        }
    }

    fn unlike(&self, unlike: Unlike, inventory: &Inventory) -> ReplicaError {
        let dir = self.shared.dir.clone();
        match unlike {
            Unlike::Store => {
                let (here, there) = (self.newest.header.store, inventory.store);
                ReplicaError::OtherStore { dir, here, there }
            }
            Unlike::Shorter => {
                ReplicaError::Ahead { dir, here: self.head(), there: inventory.head }
            }
            Unlike::From(base) => ReplicaError::Diverged { dir, from: Position(base) },
        }
    }

    /// Whether the source has the same bytes at the end of what is here.
    fn compare(&mut self, source: &dyn Source, inventory: &Inventory) -> Result<(), ReplicaError> {
        let held = inventory.segment(self.newest.base()).expect("it was found to be there");
        let range = self.walk.at.saturating_sub(COMPARED_BYTES)..self.walk.at;
        let there = fetch(source, held, range.clone())?;
        self.is_same(range, &there)?;
        self.is_agreed = true;
        Ok(())
    }

    /// Refuses a source that has other bytes in a range of the newest segment.
    fn is_same(&self, range: Range<u64>, there: &[u8]) -> Result<(), ReplicaError> {
        let mut here = vec![0; there.len()];
        let read = self.newest.file.read_at(&mut here, range.start);
        read.map_err(Fault::io("read", &self.newest.path))?;
        if here == there {
            return Ok(());
        }
        let (dir, from) = (self.shared.dir.clone(), Position(self.newest.base()));
        Err(ReplicaError::Diverged { dir, from })
    }

    /// Sealed segments whose index file is to be written, for [`Unindexed::write`] on any thread.
    pub fn take_unindexed(&mut self) -> Vec<Unindexed> {
        let unindexed = std::mem::take(&mut self.unindexed);
        unindexed.into_iter().map(|segment| Unindexed::new(&self.shared, segment)).collect()
    }

    /// Says how long the log is, so that its being cut short is seen when it is opened again.
    pub fn close(&mut self) {
        if self.failed.is_none() {
            let (base, seed) = (self.newest.base(), self.newest.seed());
            let closed = Closed { base, seed, end: self.walk.at };
            // Without it the log is as whole; only its being cut short would be harder to see.
            let _ = closed.write(&self.shared.dir, &*self.shared.options.world.disk);
        }
    }
}

/// All bytes of a range, piece by piece.
fn fetch(source: &dyn Source, held: &Held, range: Range<u64>) -> Result<Vec<u8>, ReplicaError> {
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let upto = range.end.min(at + crate::copy::PIECE_BYTES_MAX);
        let piece = source.piece(held, at..upto)?;
        at += piece.len() as u64;
        bytes.extend(piece);
    }
    Ok(bytes)
}
