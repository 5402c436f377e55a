//! Erasing one event: its place answers "erased".
//!
//! In this order: the event is found, an event in `$erasures` says durably who erased what and why,
//! the segment is sealed if it is the newest, and rewritten. A crash between leaves the audit, and
//! asking again goes on from there: the audit's id is made of the place, so it is written once.

use super::{
    Maintenance, MaintenanceError,
    copy::copy,
    fate::{Fate, Fates, Old, Substitute},
    install::install,
    pace::{Halt, Pace, Stop},
};
use crate::{
    error::{Damage, Fault},
    index::hash,
    planted::{Bug, is_on},
    read::{FrameReader, Snapshot},
};
use factum_core::{
    Append, AppendError, EventData, EventType, Position, ReadError, Revision, StreamName, Uuid,
    system,
};
use std::{fmt::Write, sync::MutexGuard};

/// Bytes of a reason, and of who asks, at most.
pub const REASON_BYTES_MAX: usize = 1024;

/// Which event is to be erased, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EraseRequest {
    /// Its stream.
    pub stream: StreamName,
    /// Its place there.
    pub revision: Revision,
    /// Why: kept for ever, so no personal data. 1 to [`REASON_BYTES_MAX`] bytes.
    pub reason: String,
    /// Who asks, as far as that is known. At most [`REASON_BYTES_MAX`] bytes.
    pub by: String,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erased {
    /// The position of the event.
    pub position: Position,
    /// It was erased before: nothing was done.
    pub already: bool,
}

/// Why an event was not erased.
#[derive(thiserror::Error, Debug, Clone)]
#[non_exhaustive]
pub enum EraseError {
    /// There is no such event, or a scavenge took it.
    #[error("stream {stream} has no event of revision {revision}")]
    NotFound {
        /// The stream.
        stream: StreamName,
        /// The revision.
        revision: Revision,
    },
    /// The store itself lives by this event.
    #[error(
        "revision {revision} of {stream} is of type {event_type}, which the store itself goes by: \
         it is not erased"
    )]
    OfTheStore {
        /// The stream.
        stream: StreamName,
        /// The revision.
        revision: Revision,
        /// The type.
        event_type: EventType,
    },
    /// A text is empty or too long.
    #[error("{what} has {actual} bytes: {least} to {REASON_BYTES_MAX}")]
    Text {
        /// Which.
        what: &'static str,
        /// How many bytes it has.
        actual: usize,
        /// How many it must have.
        least: usize,
    },
    /// The audit, or the seal, was not written. The event is as it was.
    #[error("what is to be erased could not be written down: {0}")]
    Audit(#[from] AppendError),
    /// The event could not be looked up. It is as it was.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The segment could not be rewritten. It is as it was: ask again.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
}

impl From<Fault> for EraseError {
    fn from(fault: Fault) -> Self {
        Self::Maintenance(fault.into())
    }
}

impl EraseRequest {
    fn check(&self) -> Result<(), EraseError> {
        let text = |what, text: &str, least: usize| match text.len() {
            len if (least..=REASON_BYTES_MAX).contains(&len) => Ok(()),
            actual => Err(EraseError::Text { what, actual, least }),
        };
        text("the reason", &self.reason, 1)?;
        text("who asks", &self.by, 0)
    }
}

/// An erasure that has begun: no other maintenance goes on meanwhile.
#[derive(Debug)]
pub struct Erasing<'a> {
    maintenance: &'a Maintenance,
    request: EraseRequest,
    target: Target,
    _one: MutexGuard<'a, ()>,
}

/// The event that is to go.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    position: Position,
    event_type: EventType,
}

impl Maintenance {
    /// Begins to erase an event; the steps are [`Erasing`]'s. [`crate::LogStore::erase`] does them
    /// all.
    ///
    /// # Errors
    /// As [`EraseError`] says; nothing has changed then.
    pub fn erase(&self, request: EraseRequest) -> Result<Result<Erasing<'_>, Erased>, EraseError> {
        request.check()?;
        let one = self.begin()?;
        let target = self.target(&request)?;
        if target.event_type.as_str() == system::ERASED {
            return Ok(Err(Erased { position: target.position, already: true }));
        }
        if target.event_type.as_str().starts_with('$') || request.stream.is_metadata() {
            let EraseRequest { stream, revision, .. } = request;
            return Err(EraseError::OfTheStore { stream, revision, event_type: target.event_type });
        }
        Ok(Ok(Erasing { maintenance: self, request, target, _one: one }))
    }

    fn target(&self, request: &EraseRequest) -> Result<Target, EraseError> {
        let segments = self.shared.segments();
        let until = self.shared.head().0;
        let snapshot = Snapshot { segments: &segments, until, pending: None };
        let (stream, revision) = (request.stream.clone(), request.revision);
        snapshot.check_known(&stream).map_err(ReadError::from)?;
        let mut frames = FrameReader::default();
        let found = snapshot.at_revision(&mut frames, &stream, revision)?;
        let at = found.ok_or(EraseError::NotFound { stream, revision })?;
        let event = snapshot.event(&mut frames, at.segment, at.ordinal)?;
        let event_type = at.segment.index.event_type(event.entry.event_type)?;
        let event_type = event_type.ok_or_else(|| at.segment.fault(0, Damage::Contradiction))?;
        Ok(Target { position: Position(at.segment.position(at.ordinal)), event_type })
    }
}

impl Erasing<'_> {
    /// The position of the event.
    #[must_use]
    pub fn position(&self) -> Position {
        self.target.position
    }

    /// What is to be appended first, durably.
    #[must_use]
    pub fn audit(&self) -> Append {
        let EraseRequest { stream, revision, reason, by } = &self.request;
        let mut data = String::from("{");
        put(&mut data, "stream", stream.as_str());
        write!(data, ",\"revision\":{revision},\"position\":{},", self.target.position)
            .expect("a String takes all");
        put(&mut data, "type", self.target.event_type.as_str());
        data.push(',');
        put(&mut data, "reason", reason);
        data.push(',');
        put(&mut data, "by", by);
        data.push('}');
        let event_type = EventType::trusted(system::EVENT_ERASED.into());
        let event = EventData::new(self.id(), event_type, data);
        Append::to(StreamName::trusted(system::ERASURES.into()), [event])
    }

    /// The same for every attempt to erase this event of this store.
    fn id(&self) -> Uuid {
        let store = self.maintenance.shared.segments().first().map(|one| one.header.store);
        let mut bytes = store.unwrap_or_default().as_bytes().to_vec();
        bytes.extend_from_slice(&self.target.position.0.to_le_bytes());
        let low = hash(&bytes);
        bytes.push(1);
        // Version 8: made as its maker likes.
        uuid::Builder::from_custom_bytes(
            (u128::from(hash(&bytes)) << 64 | u128::from(low)).to_be_bytes(),
        )
        .into_uuid()
    }

    /// Rewrites the segment, once the audit is durable and the segment is sealed.
    ///
    /// # Errors
    /// The segment is as it was then: ask again.
    pub fn finish(self) -> Result<Erased, EraseError> {
        let shared = &self.maintenance.shared;
        let position = self.target.position;
        let erased = Erased { position, already: false };
        if is_on(Bug::EraseOnPaper) {
            return Ok(erased);
        }
        let segments = shared.segments();
        let after = segments.partition_point(|segment| segment.base() <= position.0);
        let segment = after.checked_sub(1).and_then(|nth| segments.get(nth));
        let segment = segment.expect("the event was found in it");
        let sealed = shared.sealed_segment(segment.base());
        let sealed = sealed.expect("it was sealed before, if it was the newest");
        drop(segments);
        let mut fates = ByPosition { position: position.0, instead: self.instead() };
        let stop = Stop::default();
        let copied = copy(&sealed, &mut fates, (&shared.options, &mut Pace::new(&stop, None)));
        let copied = copied.map_err(|halt| match halt {
            Halt::Fault(fault) => fault,
            Halt::Stopped => unreachable!("nobody has its word to stop"),
        })?;
        install(shared, &sealed, copied)?;
        Ok(erased)
    }

    fn instead(&self) -> Substitute {
        let mut data = String::from("{");
        put(&mut data, "type", self.target.event_type.as_str());
        write!(data, ",\"erasedAtNs\":{},", self.maintenance.shared.now().0)
            .expect("a String takes all");
        put(&mut data, "reason", &self.request.reason);
        data.push('}');
        let event_type = EventType::trusted(system::ERASED.into());
        Substitute { event_type, data: data.into_bytes() }
    }
}

/// Appends a member of a JSON object.
fn put(json: &mut String, key: &str, text: &str) {
    write!(json, "\"{key}\":{}", nojson::Json(text)).expect("a String takes all");
}

/// One event goes.
#[derive(Debug)]
struct ByPosition {
    position: u64,
    instead: Substitute,
}

impl Fates for ByPosition {
    fn of(&mut self, event: &Old<'_>) -> Result<Fate, Fault> {
        Ok(match event.position == self.position {
            true => Fate::Replace(self.instead.clone()),
            false => Fate::Keep,
        })
    }
}
