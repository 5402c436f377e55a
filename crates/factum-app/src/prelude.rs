//! What nearly every application needs: `use factum::app::prelude::*;`

pub use crate::{
    App, Boundary, CommandSet, Ctx, Decision, Envelope, Event, EventSet, ExecuteError, Metadata,
    OnError, Outcome, Projection, Receipt, Row, Snapshots, State, StreamName, Timestamp, Upcast,
    Uuid, command, emit, emit_all, ensure, event, events, nothing, refuse,
};
pub use serde::{Deserialize, Serialize};
