//! The consumer that keeps the rows of one part of a projection.
//!
//! What must hold: rows of a batch, its checkpoint and what is parked go to the target as one; and
//! an event that fails for one of its keys leaves no trace in any row until it was decided what
//! becomes of it.

use super::{
    Key, Projection, Row, Target, TargetError, apply, keys_of, part_of,
    redrive::Redrive,
    target::{Changes, Mark, Opened, Parked, Part, Role, RowChange, StoredRow, Table},
};
use crate::{
    Envelope,
    consumer::{Commit, ConsumerHandle, EventError, Failure, Handler},
    event::DecodePolicy,
    personal::KeyStore,
    planted::{Bug, is_on},
};
use factum_core::{AnyStore, Position, RecordedEvent};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How many rows of a part are held decoded, at most, between two commits.
const ROWS_MAX: usize = 100_000;
/// How many events of a part may wait, put aside or behind one that was.
const PARKED_MAX: usize = 100_000;

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Away { .. } => Self::away(error),
            TargetError::Moved => Self::Moved,
            _ => Self::fatal(error),
        }
    }
}

/// What a projector is for.
pub(crate) struct Job {
    pub(crate) table: Table,
    pub(crate) part: Part,
    pub(crate) role: Role,
    pub(crate) target: Arc<dyn Target>,
    /// The rows are those of all instances of the app. Who builds is not: the target sees to it.
    pub(crate) is_shared: bool,
    pub(crate) store: AnyStore,
    pub(crate) redrive: Redrive,
    pub(crate) decode: DecodePolicy,
    /// Appends write the rows too, once they have caught up.
    pub(crate) is_inline: bool,
    pub(crate) keys: Option<Arc<dyn KeyStore>>,
    /// Who keeps what this one builds, once it has caught up.
    pub(crate) keeper: Option<ConsumerHandle>,
}

/// A row between two commits.
struct Slot<P> {
    value: Option<P>,
    at: Position,
    dirty: bool,
}

/// Keeps the rows of a part.
pub(crate) struct Projector<P> {
    pub(super) job: Job,
    pub(super) mark: Mark,
    ready: bool,
    rows: HashMap<String, Slot<P>>,
    /// Whatever is not among `rows` is not in the target either.
    complete: bool,
    pub(super) parked: Vec<Parked>,
    /// How many of these the target has.
    kept: usize,
    pub(super) released: Vec<(Option<String>, Position)>,
    blocked: Blocked,
    /// Nothing was handled since it was last asked how far the appends are.
    asked: bool,
    /// Keys of the event in hand that it is left out for.
    passing: Option<(Position, HashSet<String>)>,
}

/// What waits behind an event that was put aside.
#[derive(Default)]
struct Blocked {
    keys: HashSet<String>,
    streams: HashSet<String>,
}

impl<P: Projection> Projector<P> {
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job,
            mark: Mark { generation: 0, through: Position::START },
            ready: false,
            rows: HashMap::new(),
            complete: false,
            parked: Vec::new(),
            kept: 0,
            released: Vec::new(),
            blocked: Blocked::default(),
            asked: false,
            passing: None,
        }
    }

    fn begin(&mut self, opened: Opened) {
        let Opened { mark, ready, parked } = opened;
        self.rows.clear();
        self.complete = mark.through == Position::START;
        (self.mark, self.ready) = (mark, ready);
        self.kept = parked.len();
        self.parked = parked;
        self.released.clear();
        self.asked = false;
        self.passing = None;
        self.block();
    }

    /// What is blocked follows from what is parked.
    pub(super) fn block(&mut self) {
        self.blocked = Blocked::default();
        for one in &self.parked {
            match &one.key {
                Some(key) => self.blocked.keys.insert(key.clone()),
                None => self.blocked.streams.insert(one.stream.clone()),
            };
        }
    }

    /// The keys of an event that are this part's.
    pub(super) fn keys(&self, event: &Envelope<P::Event>) -> Result<Vec<String>, EventError> {
        let mut keys = P::keys(event);
        if P::KEY != Key::Computed && keys != keys_of(P::KEY, event) {
            let why = "`keys` is written, but `KEY` is not `Key::Computed`: set it";
            return Err(EventError::new(event.recorded(), why));
        }
        let Part { index, of } = self.job.part;
        if of > 1 {
            keys.retain(|key| part_of(key, of) == index);
        }
        Ok(keys)
    }

    fn is_left_out(&self, position: Position, key: &str) -> bool {
        self.passing.as_ref().is_some_and(|(at, keys)| *at == position && keys.contains(key))
    }

    /// Puts an event behind the one that it must wait for, once.
    fn wait(&mut self, event: &RecordedEvent, key: Option<&str>) -> Result<(), Failure> {
        let position = event.position();
        let same = |one: &&Parked| one.key.as_deref() == key;
        let last = self.parked.iter().rev().find(same);
        if last.is_none_or(|last| last.position < position) {
            self.put_aside(event, key, None)?;
        }
        Ok(())
    }

    fn put_aside(
        &mut self,
        event: &RecordedEvent,
        key: Option<&str>,
        why: Option<String>,
    ) -> Result<(), Failure> {
        if self.parked.len() >= PARKED_MAX {
            let name = &self.job.table.name;
            let why = format!("{PARKED_MAX} events of {name:?} wait: mend the cause and redrive");
            return Err(Failure::fatal(why));
        }
        let (key, stream) = (key.map(ToOwned::to_owned), event.stream().as_str().to_owned());
        self.parked.push(Parked { position: event.position(), key, stream, why });
        Ok(())
    }

    /// Reads rows that are not held.
    pub(super) async fn load(&mut self, keys: &[String]) -> Result<(), Failure> {
        if self.complete {
            return Ok(());
        }
        let missing: Vec<String> =
            keys.iter().filter(|key| !self.rows.contains_key(*key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let Job { table, target, .. } = &self.job;
        let found = target.load(table, self.mark.generation, &missing).await?;
        for (key, row) in missing.into_iter().zip(found) {
            let slot = match row {
                Some(row) => Slot { at: row.at, value: Some(decode(&row)?), dirty: false },
                None => Slot { at: Position::START, value: None, dirty: false },
            };
            self.rows.insert(key, slot);
        }
        Ok(())
    }

    /// A row as it is held.
    pub(super) fn row(&self, key: String) -> Row<P> {
        let value = self.rows.get(&key).and_then(|slot| slot.value.clone());
        Row::new(key, value)
    }

    pub(super) fn keep(&mut self, row: Row<P>) {
        let Row { key, value, at, changed, .. } = row;
        if changed {
            self.rows.insert(key, Slot { value, at, dirty: true });
        }
    }

    /// Applies what one stored event became, to all its keys or none.
    async fn apply_all(&mut self, events: &[Envelope<P::Event>]) -> Result<(), Failure> {
        let mut applied: Vec<Row<P>> = Vec::new();
        for event in events {
            let keys = self.keys(event)?;
            self.load(&keys).await?;
            for key in keys {
                if self.blocked.keys.contains(&key) {
                    self.wait(event.recorded(), Some(&key))?;
                    continue;
                }
                if self.is_left_out(event.position(), &key) {
                    continue;
                }
                let known = applied.iter().position(|row| row.key == key);
                let mut row = match known {
                    Some(at) => applied.swap_remove(at),
                    None => self.row(key),
                };
                if let Err(why) = apply(&mut row, event) {
                    return Err(EventError::new(event.recorded(), why.0).for_key(row.key).into());
                }
                applied.push(row);
            }
        }
        applied.into_iter().for_each(|row| self.keep(row));
        Ok(())
    }

    /// Hands the target everything since the last time.
    pub(super) async fn write(&mut self, through: Position) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for (key, slot) in self.rows.iter().filter(|(_, slot)| slot.dirty) {
            let data = slot.value.as_ref().map(serde_json::to_vec).transpose();
            let data = data.map_err(|error| {
                Failure::fatal(format!("the row {key:?} does not become JSON: {error}"))
            })?;
            rows.push(RowChange { key: key.clone(), at: slot.at, data: data.map(Into::into) });
        }
        let parked = self.parked.get(self.kept..).unwrap_or_default().to_vec();
        let mut changes = Changes {
            table: self.job.table.clone(),
            part: self.job.part,
            from: self.mark,
            through,
            ready: self.ready,
            rows,
            parked,
            released: std::mem::take(&mut self.released),
        };
        if is_on(Bug::CheckpointBeforeRows) {
            let early = Changes { rows: Vec::new(), ..changes.clone() };
            self.job.target.commit(early).await?;
            changes.from.through = through;
        }
        self.job.target.commit(changes).await?;
        self.mark.through = through;
        self.kept = self.parked.len();
        self.rows.values_mut().for_each(|slot| slot.dirty = false);
        if self.rows.len() > ROWS_MAX {
            self.rows.clear();
            self.complete = false;
        }
        Ok(())
    }

    /// Whether appends have written these rows since, and how far: what is held is then old.
    async fn is_overtaken(&mut self) -> Result<bool, Failure> {
        if !self.job.is_inline || !self.ready {
            return Ok(false);
        }
        self.asked = true;
        let Job { table, target, .. } = &self.job;
        let seen = match target.get(table, "").await {
            Err(TargetError::NotReady) => return Ok(false),
            seen => seen?,
        };
        let Mark { generation, through } = self.mark;
        if seen.generation != generation || seen.through <= through {
            return Ok(false);
        }
        self.mark.through = seen.through;
        self.rows.clear();
        self.complete = false;
        Ok(true)
    }

    /// All that is parked is in the target.
    pub(super) fn keep_parked(&mut self) {
        self.kept = self.parked.len();
    }

    async fn open(&mut self) -> Result<Option<Opened>, Failure> {
        let Job { table, part, role, target, .. } = &self.job;
        Ok(target.open(table, *part, *role).await?)
    }

    /// A builder is done when what it built is read: the keeper takes over.
    async fn hand_over(&mut self) -> Result<(), Failure> {
        if self.job.role == Role::Keeper || !self.ready || self.open().await?.is_some() {
            return Ok(());
        }
        if let Some(keeper) = &self.job.keeper {
            keeper.kick();
        }
        Err(Failure::Idle)
    }
}

pub(crate) fn decode<P: Projection>(row: &StoredRow) -> Result<P, TargetError> {
    serde_json::from_slice(&row.data).map_err(|error| TargetError::Broken {
        why: format!(
            "the row {:?} of {:?} does not fit its type ({error}): a new form needs a new VERSION",
            row.key,
            P::NAME
        ),
    })
}

impl<P: Projection> Handler for Projector<P> {
    type Event = P::Event;

    async fn checkpoint(&mut self) -> Result<Position, Failure> {
        let opened = self.open().await?.ok_or(Failure::Idle)?;
        self.begin(opened);
        self.redrive().await?;
        Ok(self.mark.through)
    }

    async fn handle(&mut self, events: &[Envelope<P::Event>]) -> Result<(), Failure> {
        let Some(first) = events.first() else { return Ok(()) };
        if !self.asked {
            self.is_overtaken().await?;
        }
        if self.job.is_inline && first.position() <= self.mark.through {
            return Ok(());
        }
        if self.blocked.streams.contains(first.stream().as_str()) {
            return self.wait(first.recorded(), None);
        }
        self.apply_all(events).await
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        let was_ready = self.ready;
        self.ready |= commit.caught_up;
        // What was handled since is in the rows already; or some of it, and the rest comes again.
        if self.is_overtaken().await? && self.mark.through < commit.through {
            return Err(Failure::Moved);
        }
        self.asked = false;
        if self.job.is_inline && was_ready && self.mark.through >= commit.through {
            return Ok(());
        }
        self.write(commit.through).await?;
        self.hand_over().await
    }

    async fn park(&mut self, event: &RecordedEvent, error: &EventError) -> Result<bool, Failure> {
        let key = error.key.as_deref();
        self.put_aside(event, key, Some(error.why.clone()))?;
        match key {
            Some(key) => self.blocked.keys.insert(key.to_owned()),
            None => self.blocked.streams.insert(event.stream().as_str().to_owned()),
        };
        Ok(key.is_some())
    }

    async fn skip(&mut self, event: &RecordedEvent, error: &EventError) -> Result<bool, Failure> {
        let Some(key) = error.key.clone() else { return Ok(false) };
        let position = event.position();
        match &mut self.passing {
            Some((at, keys)) if *at == position => drop(keys.insert(key)),
            _ => self.passing = Some((position, HashSet::from([key]))),
        }
        Ok(true)
    }

    fn is_shared(&self) -> bool {
        self.job.is_shared
    }

    async fn peek(&mut self) -> Result<Option<Position>, Failure> {
        let opened = self.open().await?;
        Ok(opened.map(|opened| {
            self.mark = opened.mark;
            opened.mark.through
        }))
    }

    fn parked(&self) -> u64 {
        self.parked.len() as u64
    }

    fn generation(&self) -> u64 {
        self.mark.generation
    }
}
