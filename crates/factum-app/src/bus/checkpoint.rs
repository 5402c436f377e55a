//! Where a handler is in the store: with the store's own tracking, and where it has none, in a
//! stream.

use super::letters::is_away;
use crate::{App, Metadata, consumer::Failure};
use factum_core::{
    Append, AppendError, Check, Direction, EventData, EventStore, EventType, Freshness, Position,
    Read, StreamName, Tracking,
};

/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;
/// The type of the events of a checkpoint in a stream.
const MOVED: &str = "handler.checkpoint.moved";

/// The place of a handler.
pub(crate) struct Checkpoint {
    app: App,
    source: String,
    after: Position,
    /// That this instance of the app has the handler.
    pub(crate) fence: Option<Check>,
}

impl Checkpoint {
    pub(crate) fn new(app: App, handler: &str) -> Self {
        Self { app, source: format!("handler.{handler}"), after: Position::START, fence: None }
    }

    /// Where it is, as the store says.
    pub(crate) async fn load(&mut self) -> Result<Position, Failure> {
        self.after = match self.app.store().capabilities().tracking {
            true => Position(self.app.store().tracked(&self.source).await?.unwrap_or_default()),
            false => self.last().await?,
        };
        Ok(self.after)
    }

    async fn last(&self) -> Result<Position, Failure> {
        let read = Read {
            direction: Direction::Backward,
            limit: Some(1),
            freshness: Freshness::Current,
            ..Read::stream(self.stream()?)
        };
        let events = self.app.store().read(read).await?.events().await?;
        let Some(event) = events.first() else { return Ok(Position::START) };
        serde_json::from_slice(event.data()).map(Position).map_err(Failure::fatal)
    }

    fn stream(&self) -> Result<StreamName, Failure> {
        StreamName::new(&format!("checkpoint-{}", self.source)).map_err(Failure::fatal)
    }

    /// It is there from now on, if it was not before.
    pub(crate) async fn save(&mut self, through: Position) -> Result<(), Failure> {
        if through <= self.after {
            return Ok(());
        }
        let mut append = match self.app.store().capabilities().tracking {
            true => {
                let tracking =
                    Tracking { source: self.source.as_str().into(), position: through.0 };
                Append { tracking: Some(tracking), ..Append::default() }
            }
            false => {
                let id = self.app.context(&Metadata::default()).id();
                let name = EventType::new(MOVED).map_err(Failure::fatal)?;
                Append::to(self.stream()?, [EventData::new(id, name, through.to_string())])
            }
        };
        append.checks.extend(self.fence.clone());
        match self.app.send(append, SENDS_MAX).await {
            Ok(_) => {}
            // A retry of what was done before.
            Err(AppendError::Tracked { stored, .. }) if stored == through.0 => {}
            Err(error @ AppendError::Tracked { .. }) => return Err(Failure::away(error)),
            Err(error) if is_away(&error) => return Err(Failure::away(error)),
            Err(error) => return Err(Failure::fatal(error)),
        }
        self.after = through;
        Ok(())
    }
}
