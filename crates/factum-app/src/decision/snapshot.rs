//! Snapshots: a state kept beside its facts, so that it need not be folded from the first.
//!
//! They are in the store, one event in a stream for each boundary of a state. A snapshot is only
//! ever a short cut: one of another version, of another boundary, or that cannot be read, is passed
//! over, and one that is not written is written the next time.

use super::{Boundary, State, load::Loaded, mark::Mark};
use crate::planted::{Bug, is_on};
use factum_core::{
    AnyStore, Append, Change, Direction, EventData, EventStore, EventType, Expected, Freshness,
    InvalidName, Position, Read, ReadError, Revision, StreamMetadata, StreamName, Timestamp, Uuid,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{fmt, time::Duration};

/// The type of the events that hold snapshots.
const TYPE: &str = "snapshot.taken";

/// When a state is kept, and as which version.
///
/// ```
/// use factum_app::{Snapshots, State, event};
/// use serde::{Deserialize, Serialize};
///
/// #[event("meter.read")]
/// struct MeterRead { #[tag] meter: u32, value: u64 }
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Meter { value: u64, readings: u64 }
///
/// impl State for Meter {
///     type Event = MeterRead;
///     fn evolve(self, event: &MeterRead) -> Self {
///         Self { value: event.value, readings: self.readings + 1 }
///     }
///     fn snapshots() -> Option<Snapshots<Self>> {
///         // Count the version up when `evolve` or the struct changes.
///         Some(Snapshots::new("meter", 1).every(1_000))
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Snapshots<S> {
    name: &'static str,
    version: u32,
    events: u64,
    bytes: u64,
    age: Option<Duration>,
    state_bytes_max: usize,
    encode: fn(&S) -> Result<Box<RawValue>, serde_json::Error>,
    decode: fn(&RawValue) -> Result<S, serde_json::Error>,
}

impl<S: Serialize + DeserializeOwned> Snapshots<S> {
    /// A snapshot every 100 events, under a pinned name. A snapshot of another version is not used:
    /// count it up when the struct or its `evolve` changes.
    #[must_use]
    pub fn new(name: &'static str, version: u32) -> Self {
        Self {
            name,
            version,
            events: 100,
            bytes: u64::MAX,
            age: None,
            state_bytes_max: 1 << 20,
            encode: |state| serde_json::value::to_raw_value(state),
            decode: |raw| serde_json::from_str(raw.get()),
        }
    }
}

impl<S> Snapshots<S> {
    /// After so many events.
    #[must_use]
    pub fn every(self, events: u64) -> Self {
        Self { events: events.max(1), ..self }
    }

    /// Also after so many bytes of payload.
    #[must_use]
    pub fn every_bytes(self, bytes: u64) -> Self {
        Self { bytes: bytes.max(1), ..self }
    }

    /// Also where something happened since and the last one is older than this.
    #[must_use]
    pub fn older_than(self, age: Duration) -> Self {
        Self { age: Some(age), ..self }
    }

    /// But not of a state with more bytes of JSON than this (1 MiB unless it is said).
    #[must_use]
    pub fn state_bytes_max(self, bytes: usize) -> Self {
        Self { state_bytes_max: bytes, ..self }
    }

    fn is_due(&self, since: &Since, now: Timestamp) -> bool {
        let old = |age: Duration| {
            let nanos = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            since.taken.is_none_or(|taken| now.0.saturating_sub(taken.0) >= nanos)
        };
        since.events >= self.events
            || since.bytes >= self.bytes
            || (since.events > 0 && self.age.is_some_and(old))
    }
}

impl<S> fmt::Debug for Snapshots<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, events, bytes, age, .. } = self;
        f.debug_struct("Snapshots")
            .field("name", name)
            .field("version", version)
            .field("events", events)
            .field("bytes", bytes)
            .field("age", age)
            .finish_non_exhaustive()
    }
}

/// What was folded since the last snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Since {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) taken: Option<Timestamp>,
}

/// A snapshot on its way to the store.
#[derive(Debug)]
pub(crate) struct Snapshot {
    stream: StreamName,
    data: Vec<u8>,
}

/// A snapshot as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    boundary: String,
    marks: Vec<StoredMark>,
    state: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
struct StoredMark {
    at: u64,
    revision: Option<u64>,
}

/// The snapshot of a state, if one is due by the policy of its type.
pub(crate) fn due<S: State>(
    boundary: &Boundary,
    loaded: &Loaded<S>,
    now: Timestamp,
) -> Option<Snapshot> {
    let policy = S::snapshots()?;
    if !policy.is_due(loaded.since(), now) {
        return None;
    }
    // A state that does not become JSON has no snapshot; its facts are all there.
    let state = (policy.encode)(loaded.state()).ok()?;
    if state.get().len() > policy.state_bytes_max {
        return None;
    }
    let marks = loaded.marks().iter().map(|mark| StoredMark {
        at: mark.at.0,
        revision: mark.revision.map(|revision| revision.0),
    });
    let (version, marks) = (policy.version, marks.collect());
    let stored = Stored { version, boundary: text(boundary), marks, state };
    let data = serde_json::to_vec(&stored).ok()?;
    Some(Snapshot { stream: stream(policy.name, boundary).ok()?, data })
}

/// The snapshot of a state, if there is one of its version and boundary.
pub(crate) async fn read<S: State>(
    store: &AnyStore,
    boundary: &Boundary,
) -> Result<Option<Loaded<S>>, ReadError> {
    let Some(policy) = S::snapshots() else {
        return Ok(None);
    };
    let Ok(stream) = stream(policy.name, boundary) else {
        return Ok(None);
    };
    let newest = Read {
        direction: Direction::Backward,
        limit: Some(1),
        freshness: Freshness::Current,
        ..Read::stream(stream)
    };
    let events = store.read(newest).await?.events().await?;
    let newest = events.first().filter(|event| event.event_type().as_str() == TYPE);
    Ok(newest.and_then(|event| {
        let stored: Stored = serde_json::from_slice(event.data()).ok()?;
        let fits = stored.version == policy.version && stored.boundary == text(boundary);
        let state = (policy.decode)(&stored.state).ok().filter(|_| fits)?;
        let marks = stored
            .marks
            .into_iter()
            .map(|mark| Mark { at: Position(mark.at), revision: mark.revision.map(Revision) })
            .map(|mark| match is_on(Bug::SnapshotClaimsMore) {
                true => Mark { at: event.position(), ..mark },
                false => mark,
            });
        let since = Since { taken: Some(event.recorded_at()), ..Since::default() };
        Some(Loaded::of(state, marks.collect(), since))
    }))
}

/// Writes a snapshot. Of its stream only the newest event is of use, and the first says so.
pub(crate) async fn write(store: &AnyStore, id: Uuid, snapshot: Snapshot) {
    let Snapshot { stream, data } = snapshot;
    let event_type = EventType::new(TYPE).expect("a constant that is a name");
    let taken = EventData::new(id, event_type, data);
    // What fails here is a short cut the less; the facts are where they were.
    let Ok(receipt) = store.append(Append::to(stream.clone(), [taken])).await else {
        return;
    };
    if receipt.streams.first().is_some_and(|written| written.first == Revision(0)) {
        let newest = StreamMetadata { max_count: Some(1), ..StreamMetadata::default() };
        let change = Change::SetMetadata(newest);
        let _ = store.change(&stream, change, Some(Expected::NoStream)).await;
    }
}

/// Which boundary, as text that no other one has.
fn text(boundary: &Boundary) -> String {
    format!("{boundary:?}")
}

/// The stream of a boundary's snapshots. Two boundaries of one hash share it, and each passes over
/// the other's.
fn stream(name: &str, boundary: &Boundary) -> Result<StreamName, InvalidName> {
    let text = text(boundary);
    let (one, other) = (fnv(0, &text), fnv(1, &text));
    StreamName::new(&format!("snapshot.{name}-{one:016x}{other:016x}"))
}

/// FNV-1a (Fowler, Noll, Vo), seeded: part of what is stored, so it never changes.
fn fnv(seed: u8, text: &str) -> u64 {
    std::iter::once(seed).chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
