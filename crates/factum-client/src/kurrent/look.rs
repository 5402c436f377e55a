//! What is known of the store and its streams, by reads of one event.

use super::{
    call::{Ask, Calls, NEVER_REACHED, TOMBSTONE_REVISION, all_from, stream_from},
    decode::not_understood,
    refusal,
};
use factum_core::{
    Expected, Position, ReadError, Revision, StreamMetadata, StreamName, StreamState,
};
use factum_proto::event_store::client::{
    Empty,
    streams::{
        read_req::options::{all_options::AllOption, stream_options::RevisionOption},
        read_resp::{Content, ReadEvent, read_event::RecordedEvent},
    },
};
use tonic::Status;

/// The end of a stream, as a read of it tells.
enum End {
    /// The last visible event, if there is one, and the last revision.
    Live(Option<Box<RecordedEvent>>, Revision),
    /// Absent or deleted.
    NotFound,
    Tombstoned,
}

impl Calls {
    pub(super) fn read_error(&self, status: &Status) -> ReadError {
        refusal::read_error(status, &self.authority)
    }

    /// The position of the last event of the store.
    pub(super) async fn head(&self, of_leader: bool) -> Result<Position, ReadError> {
        self.first_position(Ask::last(all_from(AllOption::End(Empty {})), of_leader)).await
    }

    /// The position of the first event of an answer.
    pub(super) async fn first_position(&self, ask: Ask) -> Result<Position, ReadError> {
        let mut answers = self.read(ask).await.map_err(|status| self.read_error(&status))?;
        while let Some(answer) =
            answers.message().await.map_err(|status| self.read_error(&status))?
        {
            if let Some(Content::Event(ReadEvent { event: Some(event), .. })) = answer.content {
                return Ok(self.server.ours(event.commit_position));
            }
        }
        Ok(Position::START)
    }

    async fn end(&self, stream: &StreamName, of_leader: bool) -> Result<End, ReadError> {
        let ask = Ask::last(stream_from(stream, RevisionOption::End(Empty {})), of_leader);
        match self.try_end(ask).await {
            Ok(end) => Ok(end),
            Err(status) if refusal::exception(&status) == Some("stream-deleted") => {
                Ok(End::Tombstoned)
            }
            Err(status) => Err(self.read_error(&status)),
        }
    }

    async fn try_end(&self, ask: Ask) -> Result<End, Status> {
        let mut answers = self.read(ask).await?;
        let (mut event, mut last) = (None, None);
        while let Some(answer) = answers.message().await? {
            match answer.content {
                Some(Content::Event(ReadEvent { event: Some(found), .. })) => {
                    last = Some(found.stream_revision);
                    event = Some(Box::new(found));
                }
                Some(Content::LastStreamPosition(revision)) => last = last.or(Some(revision)),
                Some(Content::StreamNotFound(_)) => return Ok(End::NotFound),
                _ => {}
            }
        }
        Ok(last.map_or(End::NotFound, |last| End::Live(event, Revision(last))))
    }

    /// What a stream is.
    pub(super) async fn state(
        &self,
        stream: &StreamName,
        of_leader: bool,
    ) -> Result<StreamState, ReadError> {
        Ok(self.state_and_last(stream, of_leader).await?.0)
    }

    /// What a stream is, and the position of the last event that it shows.
    pub(super) async fn state_and_last(
        &self,
        stream: &StreamName,
        of_leader: bool,
    ) -> Result<(StreamState, Position), ReadError> {
        let state = match self.end(stream, of_leader).await? {
            End::Live(event, last) => {
                let position = event.map(|event| self.server.ours(event.commit_position));
                return Ok((StreamState::Live { last }, position.unwrap_or_default()));
            }
            End::Tombstoned => StreamState::Tombstoned,
            End::NotFound if self.metadata(stream, of_leader).await?.is_deleted() => {
                self.state_of_deleted(stream).await?
            }
            End::NotFound => StreamState::Absent,
        };
        Ok((state, Position::START))
    }

    /// No read tells the last revision of a deleted stream. The refusal of a delete does: one that
    /// expects a revision that no stream ever has, and so can do nothing.
    async fn state_of_deleted(&self, stream: &StreamName) -> Result<StreamState, ReadError> {
        let status = match self.delete(stream, Some(Expected::At(NEVER_REACHED))).await {
            Err(status) => status,
            Ok(_) => return Err(not_understood("a delete of what cannot be was done")),
        };
        match refusal::exception(&status) {
            Some("wrong-expected-version") => Ok(match refusal::actual_version(&status) {
                Some(last) => StreamState::Deleted { last: Revision(last) },
                None => StreamState::Absent,
            }),
            Some("stream-deleted") => Ok(StreamState::Tombstoned),
            _ => Err(self.read_error(&status)),
        }
    }

    /// What a stream was found to be, by the revision that the refusal of a write tells.
    pub(super) async fn found(
        &self,
        stream: &StreamName,
        last: Option<u64>,
    ) -> Result<StreamState, ReadError> {
        Ok(match last {
            None => StreamState::Absent,
            Some(TOMBSTONE_REVISION) => StreamState::Tombstoned,
            Some(last) if self.metadata(stream, true).await?.is_deleted() => {
                StreamState::Deleted { last: Revision(last) }
            }
            Some(last) => StreamState::Live { last: Revision(last) },
        })
    }

    /// The metadata of a stream. That of a tombstoned one is not told, and matters no more.
    pub(super) async fn metadata(
        &self,
        stream: &StreamName,
        of_leader: bool,
    ) -> Result<StreamMetadata, ReadError> {
        let initial = StreamMetadata::initial(stream);
        if stream.is_metadata() {
            return Ok(initial);
        }
        let End::Live(Some(event), _) = self.end(&stream.metadata_stream(), of_leader).await?
        else {
            return Ok(initial);
        };
        // What anybody wrote there and means nothing governs nothing.
        Ok(StreamMetadata::from_json(&event.data).unwrap_or(initial))
    }

    /// Where the last event of a stream stands.
    pub(super) async fn last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<(Position, Revision)>, ReadError> {
        Ok(match self.end(stream, true).await? {
            End::Live(Some(event), last) => Some((self.server.ours(event.commit_position), last)),
            _ => None,
        })
    }

    /// Waits until the store has a position.
    pub(super) async fn reaches(
        &self,
        position: Position,
        of_leader: bool,
    ) -> Result<(), ReadError> {
        if self.head(of_leader).await? >= position {
            return Ok(());
        }
        // Subscribed first, and then looked at again: nothing falls between.
        let live = Ask { count: None, of_leader, ..Ask::of(all_from(AllOption::End(Empty {}))) };
        let mut answers = self.read(live).await.map_err(|status| self.read_error(&status))?;
        while let Some(answer) =
            answers.message().await.map_err(|status| self.read_error(&status))?
        {
            let reached = match answer.content {
                Some(Content::Event(ReadEvent { event: Some(event), .. })) => {
                    self.server.ours(event.commit_position)
                }
                _ => self.head(of_leader).await?,
            };
            if reached >= position {
                return Ok(());
            }
        }
        Err(ReadError::Unavailable {
            why: format!("{} ended the wait for position {position}", self.authority).into(),
        })
    }
}
