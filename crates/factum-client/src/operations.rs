//! Maintenance of a server's store, over `factum.v1.Operations`.

use crate::{
    address::Address,
    connect::{self, ConnectError},
};
use factum_proto::factum::v1::{
    self as wire, operations_client::OperationsClient, scavenge::State,
};
use std::fmt;
use tonic::{Code, Status, Streaming, transport::Channel};

/// Why the server did not do what it was asked.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationsError {
    /// Nothing there to be stopped or followed.
    #[error("{0}")]
    NotFound(String),
    /// The request is wrong. Correct it.
    #[error("{0}")]
    Invalid(String),
    /// This server, or its store, cannot.
    #[error("{0}")]
    Unsupported(String),
    /// The server did not answer, or could not for now. Ask again.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Status> for OperationsError {
    fn from(status: Status) -> Self {
        let why = connect::explain(&status);
        match status.code() {
            Code::NotFound => Self::NotFound(why),
            Code::InvalidArgument => Self::Invalid(why),
            Code::Unimplemented | Code::FailedPrecondition => Self::Unsupported(why),
            _ => Self::Unavailable(why),
        }
    }
}

/// How to scavenge; the server's own defaults where there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScavengeRequest {
    /// Events recorded in the last so many seconds stay.
    pub grace_s: Option<u64>,
    /// A segment of which less would be freed, in percent, is left alone.
    pub threshold_percent: Option<u32>,
    /// Bytes read and written a second, at most.
    pub bytes_per_second_max: Option<u64>,
}

/// Whether a scavenge goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ScavengePhase {
    /// It does.
    Running,
    /// It came to its end.
    Done,
    /// It was stopped.
    Stopped,
    /// It failed, for this reason.
    Failed(String),
}

/// How far a scavenge is. The numbers are those of the engine's report.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Scavenge {
    /// Which.
    pub id: String,
    /// Whether it goes on.
    pub phase: ScavengePhase,
    /// Sealed segments when it began.
    pub segments: u64,
    /// Segments looked at.
    pub segments_done: u64,
    /// Segments rewritten.
    pub segments_rewritten: u64,
    /// Events looked at.
    pub events: u64,
    /// Events that are gone.
    pub events_removed: u64,
    /// Events whose payload is gone.
    pub events_emptied: u64,
    /// Bytes freed.
    pub bytes_freed: u64,
    /// Segments left alone, as they would free little.
    pub segments_below_threshold: u64,
    /// About how much.
    pub bytes_below_threshold: u64,
    /// Hidden events that stay for the grace.
    pub events_in_grace: u64,
    /// Segments left alone, as they could not be read.
    pub unreadable: Vec<String>,
}

impl From<wire::Scavenge> for Scavenge {
    fn from(scavenge: wire::Scavenge) -> Self {
        let phase = match scavenge.state() {
            State::Running | State::Unspecified => ScavengePhase::Running,
            State::Done => ScavengePhase::Done,
            State::Stopped => ScavengePhase::Stopped,
            State::Failed => ScavengePhase::Failed(scavenge.error.unwrap_or_default()),
        };
        let report = scavenge.report.unwrap_or_default();
        Self {
            id: scavenge.scavenge_id,
            phase,
            segments: report.segments,
            segments_done: report.segments_done,
            segments_rewritten: report.segments_rewritten,
            events: report.events,
            events_removed: report.events_removed,
            events_emptied: report.events_emptied,
            bytes_freed: report.bytes_freed,
            segments_below_threshold: report.segments_below_threshold,
            bytes_below_threshold: report.bytes_below_threshold,
            events_in_grace: report.events_in_grace,
            unreadable: report.unreadable,
        }
    }
}

/// The maintenance of a server's store.
#[derive(Clone)]
pub struct Operations {
    client: OperationsClient<Channel>,
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").finish_non_exhaustive()
    }
}

impl Operations {
    /// For `factum://host[:port]`. The connection is made by the first call.
    ///
    /// # Errors
    /// [`ConnectError::Address`] where the URL is wrong.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let channel = connect::channel(&Address::factum(url)?)?;
        Ok(Self { client: OperationsClient::new(channel) })
    }

    /// Begins a scavenge; its id, and whether it was going on already.
    ///
    /// # Errors
    /// [`OperationsError`] says what the server said.
    pub async fn start_scavenge(
        &self,
        request: ScavengeRequest,
    ) -> Result<(String, bool), OperationsError> {
        let ScavengeRequest { grace_s, threshold_percent, bytes_per_second_max } = request;
        let request =
            wire::StartScavengeRequest { grace_s, threshold_percent, bytes_per_second_max };
        let started = self.client.clone().start_scavenge(request).await?.into_inner();
        Ok((started.scavenge_id, started.was_running))
    }

    /// Ends the scavenge that is going on; its id.
    ///
    /// # Errors
    /// [`OperationsError::NotFound`] where there is none.
    pub async fn stop_scavenge(&self) -> Result<String, OperationsError> {
        let request = wire::StopScavengeRequest { scavenge_id: None };
        Ok(self.client.clone().stop_scavenge(request).await?.into_inner().scavenge_id)
    }

    /// Erases an event; its position, and whether it was erased before. `by` says who asks.
    ///
    /// # Errors
    /// [`OperationsError`] says what the server said. Asking again is safe.
    pub async fn erase(
        &self,
        event: (&str, u64),
        (reason, by): (&str, &str),
    ) -> Result<(u64, bool), OperationsError> {
        let (stream, revision) = (event.0.to_owned(), event.1);
        let (reason, by) = (reason.to_owned(), by.to_owned());
        let request = wire::EraseRequest { stream, revision, reason, by };
        let erased = self.client.clone().erase(request).await?.into_inner();
        Ok((erased.position, erased.already))
    }

    /// How far the last scavenge is, and how it goes on until it has ended.
    ///
    /// # Errors
    /// [`OperationsError::NotFound`] where there was none since the server started.
    pub async fn scavenge_status(&self) -> Result<ScavengeStates, OperationsError> {
        let states = self.client.clone().scavenge_status(wire::ScavengeStatusRequest {}).await?;
        Ok(ScavengeStates(states.into_inner()))
    }
}

/// The states of a scavenge, as they come.
#[derive(Debug)]
pub struct ScavengeStates(Streaming<wire::Scavenge>);

impl ScavengeStates {
    /// The next state; `None` after the last.
    ///
    /// # Errors
    /// [`OperationsError::Unavailable`] where the connection is lost: the scavenge goes on.
    pub async fn next(&mut self) -> Result<Option<Scavenge>, OperationsError> {
        Ok(self.0.message().await?.map(Into::into))
    }
}
