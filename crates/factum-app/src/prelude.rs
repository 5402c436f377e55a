//! What nearly every application needs: `use factum::app::prelude::*;`

pub use crate::{
    App, Boundary, CommandSet, Ctx, Decision, Envelope, Event, EventSet, ExecuteError, Input, Key,
    Metadata, OnError, Outcome, Process, Projection, Publication, Receipt, Reply, Route, Row,
    Snapshots, State, Steps, StreamName, Timestamp, Upcast, Uuid, command, data, emit, emit_all,
    ensure, event, events, nothing,
    process::{days, hours, minutes, seconds},
    projection, refuse,
};
pub use serde::{Deserialize, Serialize};

/// What a `main` returns, unless it says more.
pub type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
