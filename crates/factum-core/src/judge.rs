//! The one order in which every store of ours judges an append: valid → replay → tombstone →
//! checks → tracking → write.
//!
//! Pure: a store lends a [`View`] of its state and carries out the [`Plan`]. Apart from the stores,
//! so that memory, the embedded engine and SQLite cannot differ in what they accept.

mod change;
mod heads;
mod hidden;
mod replay;
mod validate;

pub use change::judge_change;
pub use validate::{validate, validate_change, validate_query};

use crate::{
    Append, AppendError, Check, EventData, Expected, Found, Position, Query, Receipt, Revision,
    StreamMetadata, StreamName, StreamState, Tracking, Written, system,
};
use bytes::Bytes;
use heads::Heads;
use std::sync::Arc;
use uuid::Uuid;

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
pub struct StreamHead {
    /// The revision of its last event, a tombstone included.
    pub last: Option<Revision>,
    /// Its last event is a tombstone.
    pub tombstoned: bool,
    /// Its metadata.
    pub metadata: Arc<StreamMetadata>,
}

impl StreamHead {
    /// What the stream is.
    #[must_use]
    pub fn state(&self) -> StreamState {
        match self.last {
            _ if self.tombstoned => StreamState::Tombstoned,
            None => StreamState::Absent,
            Some(last) if self.metadata.is_deleted() => StreamState::Deleted { last },
            Some(last) => StreamState::Live { last },
        }
    }

    /// The revision of the next event.
    #[must_use]
    pub fn next(&self) -> Revision {
        Revision(self.last.map_or(0, |last| last.0 + 1))
    }
}

/// Where an event with a given id stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundAt {
    /// In the store.
    pub position: Position,
    /// In its stream.
    pub revision: Revision,
}

/// The state that an append is judged against: all appends before it, durable or not yet.
pub trait View {
    /// What reading that state may fail with.
    type Error;

    /// The position of the last event.
    fn head(&self) -> Position;

    /// The head of a stream.
    fn stream(&mut self, stream: &StreamName) -> Result<StreamHead, Self::Error>;

    /// Where the stream has an event with this id; at revision `hint`, if there too.
    fn find(
        &mut self,
        stream: &StreamName,
        id: Uuid,
        hint: Option<Revision>,
    ) -> Result<Option<FoundAt>, Self::Error>;

    /// The first event that matches, after a position.
    fn first_match(
        &mut self,
        query: &Query,
        after: Position,
    ) -> Result<Option<Position>, Self::Error>;

    /// The tracked position of a source.
    fn tracked(&mut self, source: &str) -> Result<Option<u64>, Self::Error>;

    /// A new id, for an event of the system.
    fn new_id(&mut self) -> Uuid;
}

/// Why there is no verdict that writes.
#[derive(Debug)]
pub enum Refusal<E> {
    /// The append is refused.
    Append(AppendError),
    /// The state could not be read.
    View(E),
}

impl<E> From<AppendError> for Refusal<E> {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Verdict {
    /// It was done before, or has nothing to write: this is the answer.
    Answer(Receipt),
    /// Write this.
    Write(Plan),
}

/// Events with their revisions, in order; those of the system come first.
#[derive(Debug)]
pub struct Plan {
    /// What to write. Positions follow from the order.
    pub events: Vec<Planned>,
    /// Commits with the events.
    pub tracking: Option<Tracking>,
    streams: Vec<Written>,
}

/// One event to write.
#[derive(Debug)]
pub struct Planned {
    /// Its stream.
    pub stream: StreamName,
    /// Its revision.
    pub revision: Revision,
    /// The event.
    pub event: EventData,
}

impl Plan {
    /// The receipt, once it is known where the last event stands.
    #[must_use]
    pub fn receipt(&self, position: Position) -> Receipt {
        Receipt { position, streams: self.streams.clone(), replayed: false }
    }
}

/// Judges a valid append ([`validate`] comes first, as [`validate_change`] before a change).
pub fn judge<V: View>(append: Append, view: &mut V) -> Result<Verdict, Refusal<V::Error>> {
    let mut heads = Heads::default();
    let places = heads.of_events(view, &append.events)?;
    if let Some(receipt) = replay::replayed(&append, &places, view, &mut heads)? {
        return Ok(Verdict::Answer(receipt));
    }
    // Only streams of the events were looked up so far.
    for place in 0..heads.len() {
        if heads.at(place).tombstoned {
            let stream = heads.name(place).clone();
            return Err(AppendError::Tombstoned { stream }.into());
        }
    }
    for (index, check) in append.checks.iter().enumerate() {
        if let Some(found) = failing(check, view, &mut heads)? {
            return Err(AppendError::Conflict { index, found }.into());
        }
    }
    if let Some(tracking) = &append.tracking {
        let stored = view.tracked(&tracking.source).map_err(Refusal::View)?;
        if let Some(stored) = stored.filter(|stored| *stored >= tracking.position) {
            let source_name = tracking.source.clone();
            return Err(AppendError::Tracked { source_name, stored }.into());
        }
    }
    plan(append, &places, view, &mut heads).map(Verdict::Write)
}

/// What a check found, if it does not hold.
fn failing<V: View>(
    check: &Check,
    view: &mut V,
    heads: &mut Heads,
) -> Result<Option<Found>, Refusal<V::Error>> {
    Ok(match check {
        Check::Stream { stream, expected } => {
            let state = heads.get(view, stream)?.state();
            (!holds(*expected, state)).then_some(Found::Stream(state))
        }
        Check::NoMatch { query, after } => {
            view.first_match(query, *after).map_err(Refusal::View)?.map(Found::Match)
        }
    })
}

fn holds(expected: Expected, state: StreamState) -> bool {
    match (expected, state) {
        (Expected::NoStream, StreamState::Absent | StreamState::Deleted { .. })
        | (Expected::Exists, StreamState::Live { .. }) => true,
        (Expected::At(at), StreamState::Live { last } | StreamState::Deleted { last }) => {
            at == last
        }
        _ => false,
    }
}

fn plan<V: View>(
    append: Append,
    places: &[usize],
    view: &mut V,
    heads: &mut Heads,
) -> Result<Plan, Refusal<V::Error>> {
    let hidden = hidden::given_metadata(&append.events, view, heads)?;
    let mut events = reopening(places, view, heads)?;
    events.reserve(append.events.len());
    let mut streams: Vec<Written> = Vec::new();
    let mut listed = Listed::default();
    for ((stream, event), place) in append.events.into_iter().zip(places) {
        let head = heads.at(*place);
        let revision = head.next();
        head.last = Some(revision);
        match listed.of(*place).and_then(|index| streams.get_mut(index)) {
            Some(written) => written.last = revision,
            None => {
                listed.add(*place, streams.len());
                let stream = stream.clone();
                streams.push(Written { stream, first: revision, last: revision });
            }
        }
        events.push(Planned { stream, revision, event });
    }
    hidden::stays_hidden(hidden, &mut events, view, heads)?;
    Ok(Plan { events, tracking: append.tracking, streams })
}

/// Where in a receipt a stream stands, by its place among the heads.
#[derive(Default)]
struct Listed(Vec<Option<usize>>);

impl Listed {
    fn of(&self, place: usize) -> Option<usize> {
        self.0.get(place).copied().flatten()
    }

    fn add(&mut self, place: usize, index: usize) {
        self.0.resize(self.0.len().max(place + 1), None);
        *self.0.get_mut(place).expect("it was made long enough above") = Some(index);
    }
}

/// Bytes of metadata that one append may write again, because its streams were deleted: the caller
/// gave none of them, so that no other limit counts them.
const REOPENING_BYTES_MAX: usize = 64 << 20;

/// The events of the system that let deleted streams go on: each sets `$tb` to the revision at
/// which its stream does. They come first, so that a receipt's position is the caller's last event.
fn reopening<V: View>(
    places: &[usize],
    view: &mut V,
    heads: &mut Heads,
) -> Result<Vec<Planned>, Refusal<V::Error>> {
    let mut events = Vec::new();
    let mut bytes = 0;
    for place in places {
        let head = heads.at(*place);
        // Once a stream goes on it is not deleted any more: each is met once.
        if !head.metadata.is_deleted() {
            continue;
        }
        let metadata = head.metadata.reopened(head.next());
        let event = metadata_event(&metadata, view.new_id());
        bytes += event.payload_bytes();
        if bytes > REOPENING_BYTES_MAX {
            let (what, limit) = ("bytes of metadata of streams that go on", REOPENING_BYTES_MAX);
            return Err(AppendError::TooLarge { what, actual: bytes, limit }.into());
        }
        head.metadata = Arc::new(metadata);
        let target = heads.name(*place).metadata_stream();
        let head = heads.get(view, &target)?;
        let revision = head.next();
        head.last = Some(revision);
        events.push(Planned { stream: target, revision, event });
    }
    Ok(events)
}

fn metadata_event(metadata: &StreamMetadata, id: Uuid) -> EventData {
    let name = crate::EventType::trusted(system::METADATA.into());
    EventData::new(id, name, Bytes::from(metadata.to_json()))
}
