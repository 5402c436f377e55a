//! Reading a state: from the cache as far as that goes, then what came since.

use super::{
    Boundary, Emit, Part, Parts, State,
    error::LoadError,
    mark::{Mark, hides},
    snapshot::{self, Since, Snapshot},
};
use crate::{
    App,
    cache::Key,
    event::Decoder,
    personal::Keys,
    planted::{Bug, is_on},
};
use factum_core::{
    AsOf, EventStore, Freshness, Position, Read, Receipt, RecordedEvent, Revision, StreamName,
    StreamState, next_batch, store::DynBatches,
};
use std::sync::Arc;

/// How often a state is read again, at most, where streams are deleted meanwhile.
const READS_MAX: u32 = 5;

/// A state, and how far it was read.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    state: S,
    marks: Vec<Mark>,
    since: Since,
}

impl<S: State> Loaded<S> {
    /// Before anything.
    fn initial(boundary: &Boundary) -> Self {
        let marks = vec![Mark::default(); boundary.parts().len()];
        Self::of(S::default(), marks, Since::default())
    }

    pub(crate) fn of(state: S, marks: Vec<Mark>, since: Since) -> Self {
        Self { state, marks, since }
    }

    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// What was folded since the last snapshot.
    pub(crate) fn since(&self) -> &Since {
        &self.since
    }

    /// How far each part of the boundary was read.
    pub(crate) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The revision of its stream's last event, where the boundary is one stream that exists.
    pub fn revision(&self) -> Option<Revision> {
        match self.marks.as_slice() {
            [mark] => mark.revision,
            _ => None,
        }
    }

    fn fold(&mut self, recorded: &RecordedEvent, keys: Option<&Keys>) -> Result<(), LoadError> {
        let decoder = Decoder { keys, ..Decoder::default() };
        let decoded = decoder.decode::<S::Event>(recorded)?;
        self.since.bytes += recorded.payload_bytes() as u64;
        decoded.for_each(|event| self.apply(&event));
        Ok(())
    }

    fn apply(&mut self, event: &S::Event) {
        self.state = std::mem::take(&mut self.state).evolve(event);
        self.since.events += 1;
    }
}

/// What a decision appended, for the state after it.
pub struct Appended<'a, P: Parts> {
    /// Its boundary.
    pub boundary: &'a P::Boundary,
    /// What it had read.
    pub read: P::Read,
    /// What it emitted.
    pub emit: &'a Emit<P::Event>,
    /// What the store said.
    pub receipt: &'a Receipt,
    /// Bytes of payload that were appended.
    pub bytes: u64,
}

/// Reads the states of one decision.
pub struct Loader<'a> {
    app: &'a App,
    trusting: bool,
    trusted: bool,
    /// Later parts are read as of the head at which the first was read.
    snapshot: Option<Position>,
    /// The head of the last read.
    head: Position,
    at_least: Option<Position>,
    due: Vec<Snapshot>,
    /// A part was deleted or cut after the snapshot, and before it was read.
    torn: bool,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self {
            app,
            trusting: false,
            trusted: false,
            snapshot: None,
            head: Position::START,
            at_least: None,
            due: Vec::new(),
            torn: false,
        }
    }

    /// Waits until the store has a position.
    pub(crate) fn at_least(self, at_least: Option<Position>) -> Self {
        Self { at_least, ..self }
    }

    /// The snapshots that are due after what was loaded and kept.
    pub(crate) fn due(&mut self) -> Vec<Snapshot> {
        std::mem::take(&mut self.due)
    }

    /// Takes what the cache has without asking the store whether more came: right for a decision
    /// that emits, as the append is conditioned on it.
    pub(crate) fn trusting(self) -> Self {
        Self { trusting: true, ..self }
    }

    /// Asks the store all the same.
    pub(crate) fn distrust(&mut self) {
        self.trusting = false;
    }

    /// Whether something was taken from the cache without asking.
    pub(crate) fn trusted(&self) -> bool {
        self.trusted
    }

    /// Whether what was read never was together: a part was deleted meanwhile.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// How far was read.
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// A state with all its facts.
    pub(crate) async fn load<S: State>(
        &mut self,
        boundary: &Boundary,
    ) -> Result<Arc<Loaded<S>>, LoadError> {
        let key = Key::of::<S>(boundary);
        let cached = self.app.cache().get::<Loaded<S>>(&key);
        if let (true, Some(cached)) = (self.trusting, &cached) {
            self.trusted = true;
            return Ok(cached.clone());
        }
        let mut known = match cached {
            Some(known) => Some((*known).clone()),
            None => snapshot::read(self.app.store(), boundary).await?,
        };
        let began = self.snapshot;
        let mut loaded = self.read_all(boundary, known.take()).await?;
        // The parts read before are of a moment that is gone: with those of this state, again.
        for _ in 0..READS_MAX {
            if !self.torn || began.is_some() {
                break;
            }
            (self.snapshot, self.torn) = (None, false);
            loaded = self.read_all(boundary, None).await?;
        }
        if self.torn {
            return Ok(Arc::new(loaded));
        }
        let loaded = Arc::new(self.snapshot(boundary, loaded));
        self.app.cache().put(key, loaded.clone());
        Ok(loaded)
    }

    /// A state from what is known of it on.
    async fn read_all<S: State>(
        &mut self,
        boundary: &Boundary,
        known: Option<Loaded<S>>,
    ) -> Result<Loaded<S>, LoadError> {
        let known = known.unwrap_or_else(|| Loaded::initial(boundary));
        if let Some(loaded) = self.read_on(boundary, known).await? {
            return Ok(loaded);
        }
        // What it was folded of is hidden by now: from the beginning.
        let again = self.read_on(boundary, Loaded::initial(boundary)).await?;
        Ok(again.unwrap_or_else(|| Loaded::initial(boundary)))
    }

    /// Whether a stream was deleted or cut after this position. A read as of it does not tell: what
    /// is hidden now is hidden there too.
    async fn is_hidden_since(
        &self,
        stream: &StreamName,
        after: Position,
    ) -> Result<bool, LoadError> {
        let (from, freshness) = (Some(after.0 + 1), Freshness::Current);
        let read = Read { from, freshness, limit: Some(1), ..Read::query(hides(stream)) };
        Ok(!self.app.store().read(read).await?.events().await?.is_empty())
    }

    /// A state as of a moment, from the first fact on.
    pub(crate) async fn load_as_of<S: State>(
        &mut self,
        boundary: &Boundary,
        moment: AsOf,
    ) -> Result<Arc<Loaded<S>>, LoadError> {
        let mut loaded = Loaded::initial(boundary);
        let mut all = Vec::new();
        for part in boundary.parts() {
            let read = match part {
                Part::Stream(stream) => Read::stream(stream.clone()),
                Part::Query(query) => Read::query(query.clone()),
            };
            let freshness = Freshness::Current;
            let read = Read { as_of: moment, freshness, at_least: self.at_least, ..read };
            let mut reading = self.app.store().read(read).await?;
            while let Some(batch) = next_batch(&mut reading.batches).await {
                all.extend(batch?.events);
            }
        }
        in_order(&mut all);
        let keys = self.keys(&all).await?;
        all.iter().try_for_each(|event| loaded.fold(event, keys.as_ref()))?;
        Ok(Arc::new(loaded))
    }

    /// Notes that a snapshot is due, if it is.
    fn snapshot<S: State>(&mut self, boundary: &Boundary, mut loaded: Loaded<S>) -> Loaded<S> {
        let now = self.app.world().now();
        if let Some(snapshot) = snapshot::due(boundary, &loaded, now) {
            self.due.push(snapshot);
            loaded.since = Since { taken: Some(now), ..Since::default() };
        }
        loaded
    }

    /// The keys of the personal data in these events.
    async fn keys(&self, events: &[RecordedEvent]) -> Result<Option<Keys>, LoadError> {
        Ok(Keys::of_batch(self.app.key_store(), events).await?)
    }

    /// The state after what came since; `None` where what it was folded of is gone.
    async fn read_on<S: State>(
        &mut self,
        boundary: &Boundary,
        mut loaded: Loaded<S>,
    ) -> Result<Option<Loaded<S>>, LoadError> {
        let several = boundary.parts().len() > 1;
        let mut later = Vec::new();
        for (at, part) in boundary.parts().iter().enumerate() {
            let mark = loaded.marks.get(at).copied().unwrap_or_default();
            let Some(mut tail) = self.tail(part, mark).await? else {
                return Ok(None);
            };
            while let Some(batch) = next_batch(&mut tail.batches).await {
                let events = batch?.events;
                let keys = self.keys(&events).await?;
                for event in events {
                    match tail.admit(&event) {
                        Admit::Gone => return Ok(None),
                        Admit::Known => {}
                        Admit::New if several => later.push(event),
                        Admit::New => loaded.fold(&event, keys.as_ref())?,
                    }
                }
            }
            let Some(reached) = tail.reached() else {
                return Ok(None);
            };
            if let Some(mark) = loaded.marks.get_mut(at) {
                *mark = reached;
            }
        }
        in_order(&mut later);
        let keys = self.keys(&later).await?;
        later.iter().try_for_each(|event| loaded.fold(event, keys.as_ref()))?;
        Ok(Some(loaded))
    }

    /// What came after a mark, as of the snapshot; `None` where the mark is past the snapshot.
    async fn tail(&mut self, part: &Part, mark: Mark) -> Result<Option<Tail>, LoadError> {
        if self.snapshot.is_some_and(|snapshot| mark.at > snapshot) {
            return Ok(None);
        }
        let read = match part {
            Part::Stream(stream) => {
                let from = mark.revision.map(|revision| revision.0);
                Read { from, ..Read::stream(stream.clone()) }
            }
            Part::Query(query) => Read { from: Some(mark.at.0 + 1), ..Read::query(query.clone()) },
        };
        let as_of = self.snapshot.map_or(AsOf::Now, AsOf::Position);
        let freshness = Freshness::Current;
        let read = Read { as_of, freshness, at_least: self.at_least, ..read };
        let reading = self.app.store().read(read).await?;
        if self.app.store().capabilities().as_of && !is_on(Bug::ReadApart) {
            self.snapshot.get_or_insert(reading.head);
        }
        let snapshot = self.snapshot.unwrap_or(reading.head);
        self.head = snapshot.min(reading.head);
        let current = snapshot >= reading.head;
        if let (Part::Stream(stream), false) = (part, current) {
            self.torn |= self.is_hidden_since(stream, snapshot).await?;
        }
        Ok(Some(Tail {
            snapshot: self.head,
            current,
            state: reading.state,
            awaited: mark.revision,
            last: mark.revision,
            batches: reading.batches,
        }))
    }

    /// Keeps the state after what was appended to it.
    pub(crate) fn keep<S: State>(&mut self, appended: Appended<'_, S>) {
        let Appended { boundary, read, emit, receipt, bytes } = appended;
        let mut loaded = Arc::unwrap_or_clone(read);
        loaded.since.bytes += bytes;
        emit.events().iter().for_each(|event| loaded.apply(event));
        for (part, mark) in boundary.parts().iter().zip(&mut loaded.marks) {
            mark.at = receipt.position;
            if let Part::Stream(stream) = part {
                let written = receipt.streams.iter().find(|one| one.stream == *stream);
                mark.revision = written.map(|written| written.last).or(mark.revision);
            }
        }
        let loaded = self.snapshot(boundary, loaded);
        self.app.cache().put(Key::of::<S>(boundary), Arc::new(loaded));
    }
}

/// Events of several parts: each once, in the order of the store.
fn in_order(events: &mut Vec<RecordedEvent>) {
    events.sort_by_key(RecordedEvent::position);
    events.dedup_by_key(|event| event.position());
}

/// What came after a mark. Of a stream the last known event is read again: where it is hidden by
/// now, the stream was deleted or cut, and the state must be folded anew.
struct Tail {
    /// What is seen.
    snapshot: Position,
    /// Nothing came after the snapshot when this was read.
    current: bool,
    state: Option<StreamState>,
    awaited: Option<Revision>,
    last: Option<Revision>,
    batches: DynBatches,
}

/// What to do with an event of a tail.
enum Admit {
    /// It is folded already.
    Known,
    /// Fold it.
    New,
    /// What was folded before it is hidden by now.
    Gone,
}

impl Tail {
    fn admit(&mut self, event: &RecordedEvent) -> Admit {
        let revision = event.revision();
        match self.awaited.take() {
            Some(known) if known == revision => Admit::Known,
            Some(_) => Admit::Gone,
            None => {
                self.last = Some(revision);
                Admit::New
            }
        }
    }

    /// The mark after all of it was read; `None` where what was known is gone.
    ///
    /// A stream's state is that of now, also in a read as of the snapshot. Where more came since,
    /// the last revision that was seen is the mark: the append will find that it is not the last.
    fn reached(&self) -> Option<Mark> {
        if self.awaited.is_some() {
            return None;
        }
        let revision = match self.state {
            Some(StreamState::Live { last }) if self.current => Some(last),
            Some(StreamState::Deleted { last }) => Some(last),
            Some(StreamState::Live { .. }) => self.last,
            _ => None,
        };
        Some(Mark { at: self.snapshot, revision })
    }
}
