//! Consumers: what follows the store beside an app. A projection is one, a process is one, and a
//! handler of the bus is one.
//!
//! They share the runner in here: from a checkpoint on, in order, at least once; decoding; the
//! policy for what fails; stopping, pausing and going on; waiting for a store that is away; and
//! what is known about how far they are. A consumer itself is a [`Handler`], handed to
//! `AppBuilder::consume`.

mod failure;
mod handle;
mod handler;
mod options;
mod poll;
mod progress;
mod run;
mod seat;
mod start;
mod tenure;

pub use failure::{EventError, Failure};
pub use handle::{ConsumerHandle, ConsumerStatus, Lag};
pub use handler::{Commit, Handler};
pub use options::{Finally, OnError, Options, Spec};
pub use progress::{Progress, RunState};
pub use seat::Stop;
pub use start::StartError;

pub(crate) use options::query_of;
pub(crate) use poll::{Either, caught, race, said};
pub(crate) use start::{Consumers, Planned, Running};
