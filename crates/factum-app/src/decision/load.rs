//! Reading a state: from the cache as far as that goes, then what came since.

use super::{Boundary, Emit, Part, Parts, State, error::LoadError};
use crate::{
    cache::{Cache, Key},
    event::{EventSet, Raw},
};
use factum_core::{
    AnyStore, AsOf, Check, EventStore, Expected, Freshness, Position, Read, Receipt, RecordedEvent,
    Revision, StreamState, next_batch, store::DynBatches,
};
use std::sync::Arc;

/// How far a part of a boundary was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The revision of the stream's last event; none where there is no stream.
    Stream(Option<Revision>),
    /// The head of the store when the query was read.
    Query(Position),
}

impl Part {
    /// Nothing of it has been read.
    fn unread(&self) -> Mark {
        match self {
            Self::Stream(_) => Mark::Stream(None),
            Self::Query(_) => Mark::Query(Position::START),
        }
    }

    /// That it is still as it was.
    pub(crate) fn check(&self, mark: Mark) -> Check {
        match (self, mark) {
            (Self::Stream(stream), Mark::Stream(Some(revision))) => {
                Check::Stream { stream: stream.clone(), expected: Expected::At(revision) }
            }
            (Self::Stream(stream), _) => {
                Check::Stream { stream: stream.clone(), expected: Expected::NoStream }
            }
            (Self::Query(query), Mark::Query(after)) => {
                Check::NoMatch { query: query.clone(), after }
            }
            (Self::Query(query), _) => {
                Check::NoMatch { query: query.clone(), after: Position::START }
            }
        }
    }
}

/// A state, and how far it was read.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    state: S,
    marks: Vec<Mark>,
}

impl<S: State> Loaded<S> {
    /// Before anything.
    fn initial(boundary: &Boundary) -> Self {
        let marks = boundary.parts().iter().map(Part::unread).collect();
        Self { state: S::default(), marks }
    }

    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// How far each part of the boundary was read.
    pub(crate) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The revision of its stream's last event, where the boundary is one stream that exists.
    pub fn revision(&self) -> Option<Revision> {
        match self.marks.as_slice() {
            [Mark::Stream(revision)] => *revision,
            _ => None,
        }
    }

    fn fold(&mut self, recorded: &RecordedEvent) -> Result<(), LoadError> {
        let decoded = S::Event::decode(&Raw::of(recorded))?;
        decoded.for_each(|event| self.apply(&event));
        Ok(())
    }

    fn apply(&mut self, event: &S::Event) {
        self.state = std::mem::take(&mut self.state).evolve(event);
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
}

/// Reads the states of one decision.
pub struct Loader<'a> {
    store: &'a AnyStore,
    cache: &'a Cache,
    trusting: bool,
    trusted: bool,
    /// Later parts are read as of the head at which the first was read.
    snapshot: Option<Position>,
    /// The head of the last read.
    head: Position,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(store: &'a AnyStore, cache: &'a Cache) -> Self {
        Self {
            store,
            cache,
            trusting: false,
            trusted: false,
            snapshot: None,
            head: Position::START,
        }
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
        let cached = self.cache.get::<Loaded<S>>(&key);
        if let (true, Some(cached)) = (self.trusting, &cached) {
            self.trusted = true;
            return Ok(cached.clone());
        }
        let known = cached.map(|known| (*known).clone());
        let known = known.unwrap_or_else(|| Loaded::initial(boundary));
        let loaded = match self.read_on(boundary, known).await? {
            Some(loaded) => loaded,
            // What it was folded of is hidden by now: from the beginning.
            None => {
                let initial = Loaded::initial(boundary);
                let again = self.read_on(boundary, initial).await?;
                again.unwrap_or_else(|| Loaded::initial(boundary))
            }
        };
        let loaded = Arc::new(loaded);
        self.cache.put(key, loaded.clone());
        Ok(loaded)
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
            let mark = loaded.marks.get(at).copied().unwrap_or_else(|| part.unread());
            let Some(mut tail) = self.tail(part, mark).await? else {
                return Ok(None);
            };
            while let Some(batch) = next_batch(&mut tail.batches).await {
                for event in batch?.events {
                    match tail.admit(&event) {
                        Admit::Gone => return Ok(None),
                        Admit::Known => {}
                        Admit::New if several => later.push(event),
                        Admit::New => loaded.fold(&event)?,
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
        later.sort_by_key(RecordedEvent::position);
        later.dedup_by_key(|event| event.position());
        later.iter().try_for_each(|event| loaded.fold(event))?;
        Ok(Some(loaded))
    }

    /// What came after a mark, as of the snapshot; `None` where the mark is past the snapshot.
    async fn tail(&mut self, part: &Part, mark: Mark) -> Result<Option<Tail>, LoadError> {
        let (read, known) = match (part, mark) {
            (Part::Stream(stream), Mark::Stream(known)) => {
                let from = known.map(|revision| revision.0);
                (Read { from, ..Read::stream(stream.clone()) }, known)
            }
            (Part::Stream(stream), Mark::Query(_)) => (Read::stream(stream.clone()), None),
            (Part::Query(query), Mark::Stream(_)) => (Read::query(query.clone()), None),
            (Part::Query(query), Mark::Query(after)) => {
                if self.snapshot.is_some_and(|snapshot| after > snapshot) {
                    return Ok(None);
                }
                (Read { from: Some(after.0 + 1), ..Read::query(query.clone()) }, None)
            }
        };
        let as_of = self.snapshot.map_or(AsOf::Now, AsOf::Position);
        let read = Read { as_of, freshness: Freshness::Current, ..read };
        let reading = self.store.read(read).await?;
        if self.store.capabilities().as_of {
            self.snapshot.get_or_insert(reading.head);
        }
        let snapshot = self.snapshot.unwrap_or(reading.head);
        self.head = snapshot.min(reading.head);
        Ok(Some(Tail {
            snapshot: self.head,
            current: snapshot >= reading.head,
            state: reading.state,
            is_stream: matches!(part, Part::Stream(_)),
            awaited: known,
            last: known,
            batches: reading.batches,
        }))
    }

    /// Keeps the state after what was appended to it.
    pub(crate) fn keep<S: State>(&self, appended: Appended<'_, S>) {
        let Appended { boundary, read, emit, receipt } = appended;
        let mut loaded = Arc::unwrap_or_clone(read);
        emit.events().iter().for_each(|event| loaded.apply(event));
        for (part, mark) in boundary.parts().iter().zip(&mut loaded.marks) {
            *mark = match (part, *mark) {
                (Part::Stream(stream), known) => {
                    let written = receipt.streams.iter().find(|one| one.stream == *stream);
                    written.map_or(known, |written| Mark::Stream(Some(written.last)))
                }
                (Part::Query(_), _) => Mark::Query(receipt.position),
            };
        }
        self.cache.put(Key::of::<S>(boundary), Arc::new(loaded));
    }
}

/// What came after a mark. Of a stream the last known event is read again: where it is hidden by
/// now, the stream was deleted or cut, and the state must be folded anew.
struct Tail {
    /// What is seen.
    snapshot: Position,
    /// Nothing came after the snapshot when this was read.
    current: bool,
    state: Option<StreamState>,
    is_stream: bool,
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
        if !self.is_stream {
            return Some(Mark::Query(self.snapshot));
        }
        Some(Mark::Stream(match self.state {
            Some(StreamState::Live { last }) if self.current => Some(last),
            Some(StreamState::Deleted { last }) => Some(last),
            Some(StreamState::Live { .. }) => self.last,
            _ => None,
        }))
    }
}
