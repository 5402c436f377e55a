//! Steps that were taken and are not durable yet, and the instances that they leave. All of them go
//! into one append, under the condition that nobody else has taken a step of this process since.

use super::{
    Process, StartFrom,
    desk::{Desk, Key},
    instance::StepError,
    journal::{Checkpoint, Held, Journal, JournalError},
    record::{Record, Step},
};
use crate::{App, Metadata, bus::Letters, consumer::Failure};
use factum_core::{
    Append, AppendError, Check, EventData, EventStore, Expected, Position, Receipt, StreamName,
    Timestamp, Uuid,
};
use lru::LruCache;
use std::{collections::HashMap, num::NonZeroUsize};

/// How many steps wait, at most, before they are appended.
const STEPS_MAX: usize = 500;
/// How many bytes of them.
const STEPS_BYTES_MAX: usize = 4 << 20;
/// How many instances are kept in memory.
const INSTANCES_MAX: NonZeroUsize = NonZeroUsize::new(1_000).expect("is not zero");
/// A checkpoint is taken after so many steps or positions,
const CHECKPOINT_MAX: u64 = 1_000;
/// or when the last one is so old, in nanoseconds.
const CHECKPOINT_AGE_MAX: i64 = 10_000_000_000;
/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;

/// A step that was taken.
pub(crate) struct Taken<'a> {
    pub(crate) id: Uuid,
    pub(crate) step: Step,
    /// What the stream is like before it, and before the others that wait for the same instance.
    pub(crate) expected: Expected,
    pub(crate) metadata: &'a Metadata,
}

struct Open {
    stream: StreamName,
    expected: Expected,
    record: Record,
}

/// What waits.
pub(crate) struct Pending {
    app: App,
    journal: Journal,
    steps: Vec<(StreamName, EventData)>,
    bytes: usize,
    open: HashMap<Key, Open>,
    /// Instances as they are in the store.
    kept: LruCache<Key, Held>,
    /// Every step up to here is on the desk.
    known: Position,
    /// Every event up to here was taken.
    through: Position,
    saved: Saved,
    /// That this instance of the app has the process.
    pub(crate) fence: Option<Check>,
    /// What was taken is not what is stored: nothing is appended any more until `recover`.
    broken: bool,
}

/// The last checkpoint.
struct Saved {
    events: u64,
    known: Position,
    steps: u64,
    at: Timestamp,
    expected: Expected,
}

impl Pending {
    pub(crate) fn new(app: App, journal: Journal) -> Self {
        Self {
            app,
            journal,
            steps: Vec::new(),
            bytes: 0,
            open: HashMap::new(),
            kept: LruCache::new(INSTANCES_MAX),
            known: Position::START,
            through: Position::START,
            saved: Saved {
                events: 0,
                known: Position::START,
                steps: 0,
                at: Timestamp(0),
                expected: Expected::NoStream,
            },
            fence: None,
            broken: false,
        }
    }

    /// Forgets everything, and reads from the store what is outstanding. Answers from where on
    /// events are to be taken.
    pub(crate) async fn recover<P: Process>(
        &mut self,
        desk: &mut Desk,
    ) -> Result<Position, Failure> {
        self.steps.clear();
        self.bytes = 0;
        self.broken = false;
        self.open.clear();
        self.kept.clear();
        let (saved, expected) = self.journal.saved().await?;
        let is_new = saved.is_none();
        let mut from = saved.unwrap_or_default();
        if is_new && P::START == StartFrom::Now {
            from.events = self.app.store().head().await?.0;
        }
        self.known = self.journal.recover(&from, desk).await?;
        self.through = Position(from.events);
        let at = self.app.world().now();
        self.saved = Saved { events: from.events, known: self.known, steps: 0, at, expected };
        if is_new {
            self.save(desk).await?;
            self.journal.keep_one_checkpoint().await;
        }
        Ok(self.through)
    }

    /// An instance, with the steps that wait.
    pub(crate) async fn held(&mut self, key: &Key) -> Result<Held, JournalError> {
        if let Some(Open { expected, record, .. }) = self.open.get(key) {
            return Ok(Held { expected: *expected, record: Some(record.clone()) });
        }
        if let Some(held) = self.kept.get(key) {
            return Ok(held.clone());
        }
        let held = self.journal.load(key).await?;
        self.kept.put(key.clone(), held.clone());
        Ok(held)
    }

    /// One more step waits.
    pub(crate) fn push(&mut self, key: &Key, taken: Taken<'_>) -> Result<(), StepError> {
        let Taken { id, step, expected, metadata } = taken;
        let event = self.journal.step(id, &step, metadata);
        let event = event.map_err(|error| StepError::Json { why: error.to_string() })?;
        let stream = match self.open.get(key) {
            Some(open) => open.stream.clone(),
            None => self.journal.stream(key).expect("its instance was read from there"),
        };
        self.bytes += event.weight();
        self.steps.push((stream.clone(), event));
        let record = step.instance;
        match self.open.get_mut(key) {
            Some(open) => open.record = record,
            None => {
                self.kept.pop(key);
                self.open.insert(key.clone(), Open { stream, expected, record });
            }
        }
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        let several = self.app.store().capabilities().multi_stream;
        let steps_max = if several { STEPS_MAX } else { 1 };
        self.steps.len() >= steps_max || self.bytes >= STEPS_BYTES_MAX
    }

    /// Makes durable what waits; then it is on the desk.
    pub(crate) async fn flush(
        &mut self,
        desk: &mut Desk,
        letters: &mut Letters,
        through: Option<Position>,
    ) -> Result<(), Failure> {
        if self.broken {
            return Err(Failure::away("what was taken before could not be appended"));
        }
        self.broken = true;
        self.append(desk, letters).await?;
        letters.flush().await?;
        if let Some(through) = through {
            self.through = through;
            if self.is_checkpoint_due() {
                self.save(desk).await?;
            }
        }
        self.broken = false;
        Ok(())
    }

    async fn append(&mut self, desk: &mut Desk, letters: &mut Letters) -> Result<(), Failure> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let mut steps = std::mem::take(&mut self.steps);
        self.bytes = 0;
        let count = steps.len() as u64;
        if self.app.store().capabilities().multi_stream {
            steps.extend(letters.take_settling());
        }
        let checks = self.open.values().map(|Open { stream, expected, .. }| Check::Stream {
            stream: stream.clone(),
            expected: *expected,
        });
        let append = Append { events: steps, checks: checks.collect(), tracking: None };
        let since = self.known;
        let receipt = self.send(append).await?;
        self.saved.steps += count;
        let written = receipt.streams.into_iter().map(|one| (one.stream, one.last));
        let written: HashMap<_, _> = written.collect();
        for (key, Open { stream, record, .. }) in self.open.drain() {
            desk.put(&key, since, &record);
            if let Some(last) = written.get(&stream) {
                let held = Held { expected: Expected::At(*last), record: Some(record) };
                self.kept.put(key, held);
            }
        }
        Ok(())
    }

    /// Appends, if nobody else has taken a step since.
    async fn send(&mut self, append: Append) -> Result<Receipt, Failure> {
        let alone = Check::NoMatch { query: self.journal.query(), after: self.known };
        let can = self.app.store().capabilities().query_checks;
        let mut append = if can { append.checking(alone) } else { append };
        append.checks.extend(self.fence.clone());
        match self.app.send(append, SENDS_MAX).await {
            Ok(receipt) => {
                self.known = self.known.max(receipt.position);
                Ok(receipt)
            }
            Err(error @ AppendError::Conflict { .. }) => Err(Failure::away(format!(
                "somebody else has taken a step of this process ({error})"
            ))),
            Err(error) if error.is_retryable() => Err(Failure::away(error)),
            Err(error) => Err(Failure::fatal(error)),
        }
    }

    fn is_checkpoint_due(&self) -> bool {
        let Saved { events, known, steps, at, .. } = self.saved;
        let moved = self.through.0.saturating_sub(events);
        let old = self.app.world().now().0.saturating_sub(at.0) >= CHECKPOINT_AGE_MAX;
        let new = moved > 0 || self.known != known;
        moved >= CHECKPOINT_MAX || steps >= CHECKPOINT_MAX || (old && new)
    }

    async fn save(&mut self, desk: &Desk) -> Result<(), Failure> {
        let (steps, named) = desk.low(self.known);
        let named = named.iter().map(ToString::to_string).collect();
        let checkpoint = Checkpoint { events: self.through.0, steps: steps.0, named };
        let id = self.app.context(&Metadata::default()).id();
        let event = self.journal.checkpoint_event(id, &checkpoint).map_err(Failure::fatal)?;
        let stream = self.journal.checkpoint.clone();
        let append = Append::to(stream.clone(), [event]).expecting(stream, self.saved.expected);
        let receipt = self.send(append).await?;
        let last = receipt.streams.first().map(|one| Expected::At(one.last));
        self.saved = Saved {
            events: self.through.0,
            known: self.known,
            steps: 0,
            at: self.app.world().now(),
            expected: last.unwrap_or(self.saved.expected),
        };
        Ok(())
    }
}
