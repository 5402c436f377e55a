//! Histories: what a store is asked to do, in groups, from a seed.
//!
//! Few streams, types, tags and sources, so that everything meets everything; retries of appends
//! that were accepted, checks that hold and checks that do not, events from one byte to more than a
//! frame takes.

mod record;
mod run;
mod sizes;

pub use record::Record;
pub use run::{Session, closed, drop_indexes, tracks};
pub use sizes::Sizes;

use crate::{
    clock::SimClock,
    dice::{Dice, SimRng},
    disk::SimDisk,
    model::{Model, Task},
};
use factum_core::{
    Append, AppendError, Change, Check, ContentType, EventData, EventType, Expected, Limits,
    Position, Query, Receipt, Revision, StreamMetadata, StreamName, StreamState, Tag, Timestamp,
    Uuid,
};
use factum_log::{
    Job, OpenError, Options, Reader, World, Writer,
    packed::{LEVEL_DEFAULT, PackError, Packed, PackedDisk, PackedOptions},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The folder of the store.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new("/data/store").to_owned()
}

/// A disk, a clock, and what is drawn.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The disk.
    pub disk: SimDisk,
    /// The clock.
    pub clock: Arc<SimClock>,
    rng: Arc<SimRng>,
    packed: PackedDisk,
}

impl Stage {
    /// A world on this disk.
    #[must_use]
    pub fn new(disk: SimDisk, seed: u64) -> Self {
        let (clock, rng, packed) = (Arc::default(), Arc::new(SimRng::new(seed)), packed(&disk));
        Self { disk, clock, rng, packed }
    }

    /// Its doors.
    #[must_use]
    pub fn world(&self) -> World {
        World {
            disk: Arc::new(self.packed.clone()),
            clock: self.clock.clone(),
            rng: self.rng.clone(),
        }
    }

    /// Its disk, on which segments may be compressed: what the engine has by itself.
    #[must_use]
    pub fn packed(&self) -> &PackedDisk {
        &self.packed
    }

    /// Compresses all sealed segments.
    pub fn compress(&self) -> Result<Packed, PackError> {
        self.packed.compress(&folder(), LEVEL_DEFAULT, &mut |_| true)
    }

    /// The same world after a power cut.
    #[must_use]
    pub fn after_power_cut(self, dice: &mut Dice) -> Self {
        let disk = SimDisk::new(self.disk.with_fs(|fs| fs.cut(dice)));
        Self { packed: packed(&disk), disk, ..self }
    }

    /// What the store is opened with.
    #[must_use]
    pub fn options(&self) -> Options {
        let world = self.world();
        // Small, so that short histories fill segments, and more files than are held open.
        let (segment_bytes, heads_max, open_files_max, index_fan_out) = (64 << 10, 8, 3, 2);
        let usual = Options { world, scrub_bytes_per_second: 1 << 40, ..Options::default() };
        Options { segment_bytes, heads_max, open_files_max, index_fan_out, ..usual }
    }

    /// Opens the store.
    pub fn open(&self) -> Result<(Writer, Reader), OpenError> {
        self.open_at(&folder())
    }

    /// Opens the store in another folder.
    pub fn open_at(&self, dir: &Path) -> Result<(Writer, Reader), OpenError> {
        factum_log::open(dir, self.options())
    }
}

fn packed(disk: &SimDisk) -> PackedDisk {
    // So small that blocks are forgotten.
    let options = PackedOptions { cache_bytes_max: 128 << 10 };
    PackedDisk::new(Arc::new(disk.clone()), options)
}

/// A task as the engine takes it.
pub fn job(task: &Task) -> Result<Job, AppendError> {
    let limits = Limits::default();
    match task {
        Task::Append(append) => Job::append(append.clone(), &limits),
        Task::Change(stream, change, expected) => {
            Job::change(stream.clone(), change.clone(), *expected, &limits)
        }
    }
}

/// What happens between two groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Between {
    /// Nothing.
    Nothing,
    /// The index files of sealed segments are written.
    Index,
    /// The store is closed in good order and opened again.
    Reopen,
    /// The store is dropped without being closed, and opened again.
    Drop,
    /// All index files are deleted while it is closed.
    DropIndexes,
}

/// A group of tasks, and what comes after it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Judged and committed together.
    pub tasks: Vec<Task>,
    /// Nanoseconds that the clock moves before; it may go back.
    pub clock_ns: i64,
    /// What comes after.
    pub between: Between,
}

/// Draws a history; the model decides what is likely to hold.
#[derive(Debug)]
pub struct Author {
    dice: Dice,
    sizes: Sizes,
    /// What the store is after all tasks so far.
    pub model: Model,
    done: Vec<Append>,
    ids: u128,
}

/// An append of so many events is one of very many.
const MANY: u64 = 100;
const STREAMS: [&str; 9] = ["a-1", "a-2", "a-3", "b-1", "b-2", "b", "-", "c-1-x", "gone-1"];
const SOURCES: [&str; 3] = ["orders", "mail", "x"];

impl Author {
    /// An author of histories of these sizes.
    #[must_use]
    pub fn new(seed: u64, sizes: Sizes) -> Self {
        let dice = Dice::new(seed);
        let ids = u128::from(seed) << 64;
        Self { dice, sizes, model: Model::default(), done: Vec::new(), ids }
    }

    /// The next group.
    pub fn step(&mut self) -> Step {
        let count = self.sizes.group(&mut self.dice);
        let tasks = (0..count).map(|_| self.task()).collect();
        let clock_ns = match self.dice.below(8) {
            // Seldom and little enough that it goes on in the long run.
            0 => -1_000_000_000,
            1 => 0,
            _ => 1_000 + i64::try_from(self.dice.below(1_000_000_000)).expect("small"),
        };
        let between = self.sizes.between(&mut self.dice);
        Step { tasks, clock_ns, between }
    }

    fn task(&mut self) -> Task {
        let task = match self.dice.below(self.sizes.rare_below()) {
            0 => self.change(),
            1 => self.tracking_alone(),
            2 | 3 => self.retry().unwrap_or_else(|| self.append()),
            4 => self.reused_id().unwrap_or_else(|| self.append()),
            _ => self.append(),
        };
        let outcome = self.model.perform(&task);
        if let (Task::Append(append), Ok(Receipt { replayed: false, .. })) = (&task, outcome) {
            self.done.push(append.clone());
        }
        task
    }

    fn stream(&mut self) -> StreamName {
        let name = *self.dice.pick(&STREAMS[..]);
        StreamName::new(name).unwrap()
    }

    fn event(&mut self, bytes: Option<usize>) -> EventData {
        self.ids += 1;
        let bytes = bytes.unwrap_or_else(|| self.sizes.event_bytes(&mut self.dice));
        let fill = u8::try_from(self.dice.below(256)).expect("a byte");
        let event_type = EventType::new(&format!("t{}", self.dice.below(4))).unwrap();
        let mut event = EventData::new(Uuid::from_u128(self.ids), event_type, vec![fill; bytes]);
        if self.dice.one_in(2) {
            let tag = |dice: &mut Dice| Tag::new(&format!("k:{}", dice.below(5))).unwrap();
            event.tags = (0..=self.dice.below(2)).map(|_| tag(&mut self.dice)).collect();
        }
        if self.dice.one_in(4) {
            event = event.with_metadata(vec![fill; 10]);
        }
        if self.dice.one_in(6) {
            event.content_type = ContentType::Binary;
            event.occurred_at = Some(Timestamp(i64::from(fill)));
        }
        event
    }

    fn append(&mut self) -> Task {
        let mut append = Append::default();
        let stream = self.stream();
        let bulk = self.sizes.bulk(&mut self.dice);
        let count = bulk.map_or_else(|| self.sizes.events(&mut self.dice), |(count, _)| count);
        for _ in 0..count {
            let stream = if self.dice.one_in(5) { self.stream() } else { stream.clone() };
            let mut event = self.event(bulk.map(|(_, bytes)| bytes));
            if count >= MANY {
                // A name of its own, so that the index has several pages.
                event.tags.push(Tag::new(&format!("of:{}", event.id)).unwrap());
            }
            append.events.push((stream, event));
        }
        if self.dice.one_in(3) {
            let expected = self.expected(&stream);
            append = append.expecting(stream, expected);
        }
        if self.dice.one_in(6) {
            append.checks.push(self.no_match());
        }
        if self.dice.one_in(6) {
            append.tracking = Some(self.tracking());
        }
        Task::Append(append)
    }

    /// Mostly what holds.
    fn expected(&mut self, stream: &StreamName) -> Expected {
        let right = match self.model.state_of(stream) {
            StreamState::Live { last } | StreamState::Deleted { last } => Expected::At(last),
            StreamState::Absent | StreamState::Tombstoned => Expected::NoStream,
        };
        let wrong = [Expected::NoStream, Expected::Exists, Expected::At(Revision(3))];
        if self.dice.one_in(4) { *self.dice.pick(&wrong) } else { right }
    }

    fn no_match(&mut self) -> Check {
        let query = match self.dice.below(3) {
            0 => Query::tag(Tag::new(&format!("k:{}", self.dice.below(6))).unwrap()),
            1 => Query::types([EventType::new(&format!("t{}", self.dice.below(5))).unwrap()]),
            _ => Query::category("b"),
        };
        let head = self.model.events.len() as u64;
        let after = if self.dice.one_in(3) { self.dice.below(head + 1) } else { head };
        Check::NoMatch { query, after: Position(after) }
    }

    fn tracking(&mut self) -> factum_core::Tracking {
        let source = *self.dice.pick(&SOURCES[..]);
        let stored = self.model.tracked.get(source).copied().unwrap_or(0);
        let position = stored + self.dice.below(4);
        factum_core::Tracking { source: source.into(), position }
    }

    fn tracking_alone(&mut self) -> Task {
        Task::Append(Append { tracking: Some(self.tracking()), ..Append::default() })
    }

    fn retry(&mut self) -> Option<Task> {
        let known: Vec<&Append> = self.done.iter().filter(|one| !one.events.is_empty()).collect();
        (!known.is_empty()).then(|| Task::Append((*self.dice.pick(&known)).clone()))
    }

    /// An append that is half a retry: refused.
    fn reused_id(&mut self) -> Option<Task> {
        let Some(Task::Append(mut append)) = self.retry() else { return None };
        append.checks.clear();
        let stream = append.events.first()?.0.clone();
        append.events.push((stream, self.event(None)));
        Some(Task::Append(append))
    }

    fn change(&mut self) -> Task {
        let stream = self.stream();
        let some = |dice: &mut Dice, end| dice.one_in(2).then(|| 1 + dice.below(end));
        let change = match self.dice.below(8) {
            0 => Change::Tombstone,
            1..4 => Change::Delete,
            _ => Change::SetMetadata(StreamMetadata {
                truncate_before: some(&mut self.dice, 6),
                max_count: some(&mut self.dice, 6),
                ..StreamMetadata::default()
            }),
        };
        let wrong = Some(Expected::At(Revision(2)));
        let expected = if self.dice.one_in(4) { wrong } else { None };
        // A stream that is gone for ever is a stream less to write to.
        let stream = match change {
            Change::Tombstone => StreamName::new(&format!("gone-{}", self.dice.below(3))).unwrap(),
            _ => stream,
        };
        Task::Change(stream, change, expected)
    }
}
