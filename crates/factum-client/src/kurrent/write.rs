//! Appends and changes, in the protocol's terms, and what its answers leave out.
//!
//! The protocol does not tell a retry's answer from a first one. What tells it is the position: one
//! that this client knew of before it asked cannot be new. So the client remembers the furthest
//! position it has seen, and looks it up again after an answer was lost.

use super::{
    call::{Calls, append_expects},
    decode::{proposed, stream_out},
    refusal,
};
use factum_core::{
    Append, AppendError, Change, Check, EventData, EventType, Expected, Found, Freshness, Invalid,
    Limits, Position, Read, ReadError, Receipt, Revision, StreamMetadata, StreamName, StreamState,
    Uuid, Written, system,
};
use factum_proto::event_store::client::streams::{
    AppendReq, AppendResp,
    append_req::{self, Content},
    append_resp::{
        Result as Outcome, Success, WrongExpectedVersion,
        success::{CurrentRevisionOption, PositionOption},
        wrong_expected_version::CurrentRevisionOption as Current,
    },
};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tonic::Status;

/// How many of the latest appends are remembered, for those of their equals that were in flight
/// with them.
const LATEST_MAX: usize = 1024;

/// The furthest position that this client has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    position: AtomicU64,
    /// Where the latest appends stand that were told to be new.
    latest: Mutex<BTreeSet<Position>>,
    /// Something may have been written whose position is not known.
    in_doubt: AtomicBool,
}

impl Seen {
    pub(super) fn note(&self, position: Position) {
        self.position.fetch_max(position.0, Ordering::SeqCst);
    }

    /// Whether what stands there was written by the append that is answered so first.
    fn is_new(&self, position: Position, before: Position) -> bool {
        self.note(position);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = position > before && latest.insert(position);
        if latest.len() > LATEST_MAX {
            latest.pop_first();
        }
        is_new
    }

    /// The position, before something is written.
    async fn before(&self, calls: &Calls) -> Result<Position, AppendError> {
        if self.in_doubt.swap(false, Ordering::SeqCst) {
            // Also where the caller gives up waiting.
            let doubt = Doubt(Some(self));
            self.note(calls.head(true).await.map_err(refusal::before_append)?);
            doubt.settle();
        }
        Ok(Position(self.position.load(Ordering::SeqCst)))
    }
}

/// Leaves a doubt behind, unless the answer came: also where the caller gave up waiting.
struct Doubt<'a>(Option<&'a Seen>);

impl Doubt<'_> {
    fn settle(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(seen) = self.0 {
            seen.in_doubt.store(true, Ordering::SeqCst);
        }
    }
}

/// A stream, what it is expected to be, and what it is to hold.
struct Batch {
    stream: StreamName,
    expected: Option<Expected>,
    events: Vec<EventData>,
}

impl Batch {
    /// An append as the protocol has it: to one stream, with at most one check, of that stream.
    fn of(append: Append) -> Result<Self, AppendError> {
        if append.tracking.is_some() {
            return Err(unsupported("track a source"));
        }
        let mut events = append.events.into_iter();
        let Some((stream, first)) = events.next() else {
            return Err(Invalid::Empty.into());
        };
        let mut batch = Self { stream, expected: None, events: vec![first] };
        for (stream, event) in events {
            if stream != batch.stream {
                return Err(unsupported("append to several streams at once"));
            }
            batch.events.push(event);
        }
        for check in append.checks {
            match check {
                Check::Stream { stream, expected } if stream == batch.stream => {
                    batch.expected = Some(expected);
                }
                Check::Stream { .. } => {
                    return Err(unsupported("check a stream that is not written"));
                }
                Check::NoMatch { .. } => return Err(unsupported("check a query")),
            }
        }
        Ok(batch)
    }

    fn messages(&self) -> Result<Vec<AppendReq>, AppendError> {
        let options = append_req::Options {
            stream_identifier: Some(stream_out(&self.stream)),
            expected_stream_revision: Some(append_expects(self.expected)),
        };
        let mut messages = vec![AppendReq { content: Some(Content::Options(options)) }];
        for event in &self.events {
            let message = proposed(event).map_err(|what| AppendError::Unsupported { what })?;
            messages.push(AppendReq { content: Some(Content::ProposedMessage(message)) });
        }
        Ok(messages)
    }
}

fn unsupported(what: &'static str) -> AppendError {
    AppendError::Unsupported { what: format!("{what}: KurrentDB's first protocol cannot").into() }
}

impl Calls {
    pub(super) async fn appending(
        &self,
        append: Append,
        seen: &Seen,
    ) -> Result<Receipt, AppendError> {
        let batch = Batch::of(append)?;
        self.write(batch, seen).await
    }

    async fn write(&self, batch: Batch, seen: &Seen) -> Result<Receipt, AppendError> {
        let messages = batch.messages()?;
        let before = seen.before(self).await?;
        let doubt = Doubt(Some(seen));
        match self.append(messages).await {
            Ok(AppendResp { result: Some(Outcome::Success(success)) }) => {
                let receipt = self.receipt(&batch, success)?;
                doubt.settle();
                let replayed = !seen.is_new(receipt.position, before);
                Ok(Receipt { replayed, ..receipt })
            }
            Ok(AppendResp { result: Some(Outcome::WrongExpectedVersion(wrong)) }) => {
                doubt.settle();
                Err(self.refused(&batch, &wrong).await)
            }
            Ok(AppendResp { result: None }) => {
                Err(AppendError::Unknown { why: "an answer without a result".into() })
            }
            Err(status) => {
                let error = refusal::append_error(&status, &batch.stream, &self.authority);
                if !matches!(error, AppendError::Unknown { .. }) {
                    doubt.settle();
                }
                Err(self.told_deleted(&batch, error).await)
            }
        }
    }

    /// That a stream is deleted is told in the same words, for ever or not, where it was expected
    /// to exist: softly deleted, that is a check that does not hold.
    async fn told_deleted(&self, batch: &Batch, error: AppendError) -> AppendError {
        let is_told = matches!(error, AppendError::Tombstoned { .. });
        if !is_told || batch.expected != Some(Expected::Exists) {
            return error;
        }
        let state = match self.state(&batch.stream, true).await {
            Ok(StreamState::Tombstoned) => return error,
            // It goes on already; it did not when the append was judged.
            Ok(StreamState::Live { last }) => StreamState::Deleted { last },
            Ok(state) => state,
            Err(failed) => return refusal::before_append(failed),
        };
        AppendError::Conflict { index: 0, found: Found::Stream(state) }
    }

    fn receipt(&self, batch: &Batch, success: Success) -> Result<Receipt, AppendError> {
        let unclear = |what: &str| AppendError::Unknown {
            why: format!("the server's answer is not understood: {what}").into(),
        };
        let Some(CurrentRevisionOption::CurrentRevision(last)) = success.current_revision_option
        else {
            return Err(unclear("no revision"));
        };
        let Some(PositionOption::Position(position)) = success.position_option else {
            return Err(unclear("no position"));
        };
        let count = batch.events.len() as u64;
        let first = (last + 1).checked_sub(count).ok_or_else(|| unclear("the revision"))?;
        let position = self.server.ours(position.commit_position);
        let (first, last) = (Revision(first), Revision(last));
        let written = Written { stream: batch.stream.clone(), first, last };
        Ok(Receipt { position, streams: vec![written], replayed: false })
    }

    /// What a wrong expected version is here: a conflict, or ids that are in use.
    async fn refused(&self, batch: &Batch, wrong: &WrongExpectedVersion) -> AppendError {
        let last = match wrong.current_revision_option {
            Some(Current::CurrentRevision(last)) => Some(last),
            _ => None,
        };
        let state = match self.found(&batch.stream, last).await {
            Ok(state) => state,
            Err(error) => return refusal::before_append(error),
        };
        let holds = match (batch.expected, state) {
            (None, _) | (Some(Expected::NoStream), StreamState::Absent) => true,
            (Some(Expected::NoStream), StreamState::Deleted { .. })
            | (Some(Expected::Exists), StreamState::Live { .. }) => true,
            (Some(Expected::At(at)), _) => Some(at.0) == last,
            _ => false,
        };
        let used = match (batch.expected, holds) {
            (_, true) => self.used(batch, Read::stream(batch.stream.clone())).await,
            (Some(expected), false) => self.used_where_expected(batch, expected).await,
            (None, false) => Ok(None),
        };
        match used {
            Err(error) => refusal::before_append(error),
            Ok(Some((id, at))) => AppendError::IdReused { id, at },
            Ok(None) if !holds => AppendError::Conflict { index: 0, found: Found::Stream(state) },
            // They are there, and hidden: nothing else refuses an append whose check holds.
            Ok(None) => {
                let id = batch.events.first().map_or(Uuid::nil(), |event| event.id);
                AppendError::IdReused { id, at: Position::START }
            }
        }
    }

    /// As [`Self::used`], where a retry of the append would find them.
    async fn used_where_expected(
        &self,
        batch: &Batch,
        expected: Expected,
    ) -> Result<Option<(Uuid, Position)>, ReadError> {
        let from = match expected {
            Expected::NoStream => 0,
            Expected::At(at) => at.0.saturating_add(1),
            Expected::Exists => return Ok(None),
        };
        let limit = Some(batch.events.len() as u64);
        let read = Read { from: Some(from), limit, ..Read::stream(batch.stream.clone()) };
        self.used(batch, read).await
    }

    /// The first of the append's ids that a read of its stream shows, and where.
    async fn used(&self, batch: &Batch, read: Read) -> Result<Option<(Uuid, Position)>, ReadError> {
        let read = Read { freshness: Freshness::Current, ..read };
        let stored = self.reading(read, &Limits::default()).await?.events().await?;
        Ok(batch.events.iter().find_map(|event| {
            let stored = stored.iter().find(|stored| stored.id() == event.id)?;
            Some((event.id, stored.position()))
        }))
    }

    pub(super) async fn changing(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
        seen: &Seen,
    ) -> Result<Receipt, AppendError> {
        if stream.is_metadata() {
            return Err(Invalid::MetadataStream { stream: stream.clone() }.into());
        }
        match change {
            Change::SetMetadata(metadata) => {
                let (stream, event) = (stream.metadata_stream(), metadata_event(&metadata)?);
                self.write(Batch { stream, expected, events: vec![event] }, seen).await
            }
            Change::Delete => self.deleting(stream, expected, seen).await,
            Change::Tombstone => self.tombstoning(stream, expected, seen).await,
        }
    }

    async fn deleting(
        &self,
        stream: &StreamName,
        expected: Option<Expected>,
        seen: &Seen,
    ) -> Result<Receipt, AppendError> {
        let before = seen.before(self).await?;
        let doubt = Doubt(Some(seen));
        let position = match self.delete(stream, expected).await {
            Ok(position) => position,
            Err(status) => return Err(self.change_refused(stream, &status, doubt).await),
        };
        doubt.settle();
        let metadata = stream.metadata_stream();
        let last = self.last(&metadata).await.ok().flatten();
        let position = position.or(last.map(|(position, _)| position)).unwrap_or(before);
        let replayed = !seen.is_new(position, before);
        // It is done; what is not known of it is left out.
        let written = last.filter(|(at, _)| *at == position && !replayed);
        let written = written.map(|(_, at)| Written { stream: metadata, first: at, last: at });
        Ok(Receipt { position, streams: written.into_iter().collect(), replayed })
    }

    async fn tombstoning(
        &self,
        stream: &StreamName,
        expected: Option<Expected>,
        seen: &Seen,
    ) -> Result<Receipt, AppendError> {
        // The tombstone's own revision is told as the greatest; here it is the next.
        let state = self.state(stream, true).await.map_err(refusal::before_append)?;
        let at = match state {
            StreamState::Absent | StreamState::Tombstoned => Revision(0),
            StreamState::Live { last } | StreamState::Deleted { last } => Revision(last.0 + 1),
        };
        let before = seen.before(self).await?;
        let doubt = Doubt(Some(seen));
        let position = match self.tombstone(stream, expected).await {
            Ok(position) => position,
            Err(status) => return Err(self.change_refused(stream, &status, doubt).await),
        };
        doubt.settle();
        let position = position.unwrap_or(before);
        seen.note(position);
        let written = Written { stream: stream.clone(), first: at, last: at };
        Ok(Receipt { position, streams: vec![written], replayed: false })
    }

    async fn change_refused(
        &self,
        stream: &StreamName,
        status: &Status,
        doubt: Doubt<'_>,
    ) -> AppendError {
        if refusal::exception(status) == Some("wrong-expected-version") {
            doubt.settle();
            return match self.found(stream, refusal::actual_version(status)).await {
                Ok(state) => AppendError::Conflict { index: 0, found: Found::Stream(state) },
                Err(error) => refusal::before_append(error),
            };
        }
        let error = refusal::append_error(status, stream, &self.authority);
        if !matches!(error, AppendError::Unknown { .. }) {
            doubt.settle();
        }
        error
    }
}

fn metadata_event(metadata: &StreamMetadata) -> Result<EventData, AppendError> {
    let json = metadata.to_json();
    // The fields are public: what was put in by hand must read back, and as what it was put in.
    let read = StreamMetadata::from_json(json.as_bytes())?;
    let own = |m: &StreamMetadata| (m.truncate_before, m.max_count, m.max_age_s);
    if own(&read) != own(metadata) || !read.other.keys().eq(metadata.other.keys()) {
        let why = "a key of its own was given among the others, or a value that is no JSON value";
        return Err(Invalid::Metadata { why: why.into() }.into());
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| AppendError::Unavailable {
        why: format!("the system gives no random bytes for an id: {error}").into(),
    })?;
    let id = uuid::Builder::from_random_bytes(random).into_uuid();
    Ok(EventData::new(id, EventType::trusted(system::METADATA.into()), json))
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Query;

    fn event(id: u128) -> EventData {
        EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), "{}")
    }

    fn stream(name: &str) -> StreamName {
        StreamName::new(name).unwrap()
    }

    #[test]
    fn an_append_to_one_stream_becomes_options_and_events() {
        let append = Append::to(stream("a"), [event(1), event(2)]);
        let batch = Batch::of(append.expecting(stream("a"), Expected::At(Revision(3)))).unwrap();
        assert_eq!((batch.stream.as_str(), batch.expected), ("a", Some(Expected::At(Revision(3)))));
        assert_eq!(batch.messages().unwrap().len(), 3);
    }

    #[test]
    fn what_the_protocol_cannot_is_refused() {
        let one = || Append::to(stream("a"), [event(1)]);
        let two = Append {
            events: [one().events, Append::to(stream("b"), [event(2)]).events].concat(),
            ..one()
        };
        let query = Check::NoMatch { query: Query::All, after: Position::START };
        let refused = [
            two,
            one().expecting(stream("b"), Expected::NoStream),
            one().checking(query),
            one().tracking("s", 1),
            Append::default().tracking("s", 1),
        ];
        for append in refused {
            let got = Batch::of(append).err();
            assert!(matches!(got, Some(AppendError::Unsupported { .. })), "{got:?}");
        }
    }

    #[test]
    fn an_answer_that_did_not_come_leaves_a_doubt() {
        let seen = Seen::default();
        Doubt(Some(&seen)).settle();
        assert!(!seen.in_doubt.load(Ordering::SeqCst));
        drop(Doubt(Some(&seen)));
        assert!(seen.in_doubt.load(Ordering::SeqCst));
    }

    #[test]
    fn metadata_that_means_nothing_is_not_sent() {
        let smuggled = [("a".to_owned(), "1,\"$tb\":7".to_owned())].into();
        let bad = [
            StreamMetadata { max_count: Some(0), ..StreamMetadata::default() },
            StreamMetadata { other: smuggled, ..StreamMetadata::default() },
        ];
        for bad in bad {
            let got = metadata_event(&bad);
            assert!(matches!(got, Err(AppendError::Invalid(Invalid::Metadata { .. }))), "{got:?}");
        }
        let id = || metadata_event(&StreamMetadata::default()).unwrap().id;
        assert_ne!(id(), id());
    }
}
