//! The application framework of Factum: decisions, projections, processes, evolution.
//!
//! | concept | what you write |
//! |---|---|
//! | event | a struct with [`macro@event`]: a fact, its name pinned |
//! | set | an enum with [`derive@EventSet`]: the events that one consumer knows |
//! | state | [`State`]: a fold over the events of a set |
//! | decision | a struct with [`macro@command`], and [`Decision`]: emit, nothing, or refuse |
//! | projection | [`Projection`]: events to rows that are kept, by key |
//! | process | [`Process`]: reacts to events with commands, timers and compensations |
//! | app | [`App`]: a store, and all of the above over it |
//! | receipt | [`Receipt`]: what a command came to; hand it to a view to see at least that much |
//!
//! `decide` and `evolve` are pure; time and ids come from [`Ctx`]. Nothing here knows a concrete
//! store, and everything that it asks of the world goes through [`World`], so that a whole app runs
//! in a simulation.

/// The attributes write paths from here; tests within the crate use them too.
#[cfg(test)]
extern crate self as factum_app;

mod app;
#[cfg(feature = "tokio")]
pub mod blocking;
pub mod bus;
mod cache;
pub mod consumer;
mod context;
pub mod decision;
pub mod describe;
mod envelope;
pub mod event;
pub mod lease;
pub mod lock;
pub mod message;
mod metadata;
pub mod observe;
pub mod outbox;
pub mod personal;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
pub mod prelude;
pub mod process;
pub mod projection;
pub mod publication;
pub mod registry;
pub mod view;
pub mod world;

pub use app::{App, AppBuilder, STATES_MAX};
pub use consumer::OnError;
pub use context::Ctx;
pub use decision::{
    Aggregate, AggregateError, Boundary, Call, Command, CommandSet, Decision, Dispatch,
    DispatchError, Emit, Execute, ExecuteError, Gather, GatherError, LoadError, NoCommand, Outcome,
    Part, ReadState, Receipt, Record, RecordError, Reply, SaveError, Snapshots, State, emit,
    emit_all, ensure, nothing, refuse,
};
pub use envelope::Envelope;
pub use event::{DecodePolicy, Event, EventSet, ReadAs, Upcast};
pub use factum_macros::{
    Command, CommandSet, Event, EventSet, command, data, event, events, projection,
};
pub use metadata::Metadata;
pub use process::{Input, Process, Route, Steps};
pub use projection::{Key, Projection, Row};
pub use publication::Publication;
#[cfg(feature = "tokio")]
pub use world::TokioWorld;
pub use world::World;

/// Words of the store that an app's code uses too.
pub use factum_core::{
    AnyStore, EventStore, InvalidName, MemoryStore, Position, Query, RecordedEvent, Revision,
    StreamName, Tag, Timestamp, Uuid,
};
/// Used by what the attributes write.
pub use {schemars, serde, serde_json};
