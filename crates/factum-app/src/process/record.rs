//! What is stored of an instance: one event a step, with all that the instance is after it.
//!
//! The shape is a format: what is here was stored, and is read for years. Fields are added with a
//! default, and none is renamed.

use crate::{Metadata, decision::Reply};
use factum_core::{Position, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;

/// The type of every event in the stream of an instance.
pub(crate) const STEP_TAKEN: &str = "process.step.taken";

/// One step: what came in, and what the instance is after it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) input: Taken,
    #[serde(flatten)]
    pub(crate) instance: Record,
}

/// What came in. Of an event only where it stands: its bytes are there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Taken {
    Event { position: u64, part: u32, r#type: String },
    TimedOut { timer: String },
    Replied { command: String, id: Uuid, reply: Reply },
    Parked { command: String, id: Uuid, why: Parked },
    Resumed { by: String },
    Skipped { by: String, command: String },
}

/// An instance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) status: Status,
    /// How often it has started.
    pub(crate) run: u32,
    /// The version of the state's shape.
    pub(crate) version: u32,
    /// The version that began this run.
    pub(crate) began_with: u32,
    pub(crate) state: Value,
    /// The last event that it took.
    pub(crate) seen: Place,
    /// Commands that are to be done, in order; the first one may be on its way.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) outbox: VecDeque<Sent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) timers: Vec<Timer>,
    /// Commands that undo what was done; the last is done first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) compensations: Vec<Stored>,
    /// Why the first command of the outbox is not done, until somebody helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parked: Option<Parked>,
}

/// Whether it takes inputs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Running,
    /// It failed, and what it did is being undone.
    Compensating(String),
    Ended,
    /// It failed, and what it did is undone.
    Failed(String),
}

impl Status {
    /// For who watches.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating(_) => "compensating",
            Self::Ended => "ended",
            Self::Failed(_) => "failed",
        }
    }
}

/// Where an event stands. An old event that was split is several parts at one position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) position: u64,
    #[serde(default)]
    pub(crate) part: u32,
}

impl Place {
    pub(crate) fn new(position: Position, part: u32) -> Self {
        Self { position: position.0, part }
    }
}

/// A command, as it is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A command that was sent. Its id is its key: doing it again does nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) id: Uuid,
    pub(crate) run: u32,
    #[serde(flatten)]
    pub(crate) command: Stored,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) compensates: bool,
    /// How often it is tried before its answer is that it failed; not said: before it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempts_max: Option<u32>,
    /// For the events of the command; it is caused by the step that sent it.
    pub(crate) metadata: Metadata,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Timer {
    pub(crate) name: String,
    /// Nanoseconds since 1970.
    pub(crate) due: i64,
    /// What is sent when it goes off; without one the process is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Stored>,
    /// For the step that it becomes; it is caused by the one that set it.
    pub(crate) metadata: Metadata,
}

impl Timer {
    pub(crate) fn due(&self) -> Timestamp {
        Timestamp(self.due)
    }
}

/// Why a command is not done until somebody helps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parked {
    /// What went wrong.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
}

impl Record {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, Status::Ended | Status::Failed(_))
    }

    /// The command to be done now.
    pub(crate) fn to_do(&self) -> Option<&Sent> {
        self.outbox.front().filter(|_| self.parked.is_none())
    }

    /// The timers that go off before an event that was recorded then, in the order of time.
    pub(crate) fn due_before(&self, event: Place, recorded_at: Timestamp) -> Vec<Timer> {
        let due = |timer: &&Timer| timer.due() <= recorded_at;
        let new = event > self.seen && !self.is_over();
        let mut timers: Vec<_> = self.timers.iter().filter(due).filter(|_| new).cloned().collect();
        timers.sort_by_key(|timer| timer.due);
        timers
    }

    /// Whether something is to be done yet without an event: a command, a timer.
    pub(crate) fn is_outstanding(&self) -> bool {
        !self.outbox.is_empty() || !self.timers.is_empty()
    }
}
