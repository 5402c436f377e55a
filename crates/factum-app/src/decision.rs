//! Decisions: a command and a state become events, or nothing, or a refusal.
//!
//! `decide` and `evolve` are pure. What a decision reads is its *boundary*, and what was read is
//! what its append is conditioned on, so that of two decisions that contradict each other one is
//! made again with the facts of the other.

mod aggregate;
mod boundary;
mod command;
mod error;
mod execute;
mod gather;
pub(crate) mod keyed;
mod load;
mod mark;
mod outcome;
mod parts;
mod read;
mod receipt;
mod record;
mod snapshot;
mod state;

pub use aggregate::{Aggregate, AggregateError, SaveError};
pub use boundary::{Boundary, Part};
pub use command::{Call, Command, CommandSet, Dispatch, DispatchError, NoCommand, Reply};
pub use error::{ExecuteError, LoadError};
pub use execute::Execute;
pub use gather::{Gather, GatherError};
pub use load::Loaded;
pub use outcome::{Emit, Outcome, emit, emit_all, ensure, nothing, refuse};
pub use parts::Parts;
pub use read::ReadState;
pub use receipt::Receipt;
pub use record::{Record, RecordError};
pub use snapshot::Snapshots;
pub use state::State;

pub(crate) use execute::run;
pub(crate) use load::Loader;
pub(crate) use snapshot::{Snapshot, write as write_snapshot};

use crate::Ctx;
use factum_core::InvalidName;

/// A command that is decided on facts.
///
/// ```
/// use factum_app::{Ctx, Decision, EventSet, Outcome, State, command, emit, ensure, event};
///
/// #[event("seat.reserved")]
/// struct SeatReserved { #[tag] seat: String, by: String }
///
/// #[derive(Clone, Default)]
/// struct Seat { taken: bool }
/// impl State for Seat {
///     type Event = SeatReserved;
///     fn evolve(self, _: &SeatReserved) -> Self { Seat { taken: true } }
/// }
///
/// #[command("seat.reserve")]
/// struct Reserve { #[tag] seat: String, by: String }
/// #[derive(Debug, PartialEq)]
/// struct Taken;
/// impl Decision for Reserve {
///     type State = Seat;
///     type Refusal = Taken;
///     fn decide(&self, seat: &Seat, _: &Ctx) -> Outcome<Self> {
///         ensure(!seat.taken, Taken)?;
///         emit(SeatReserved { seat: self.seat.clone(), by: self.by.clone() })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a decision",
    label = "no `Decision`",
    note = "write `impl Decision for {Self}`: the state it reads, how it refuses, and `decide`"
)]
pub trait Decision: Command {
    /// What it reads: a [`State`], or a tuple of them, each with its own boundary.
    type State: Parts;

    /// How it refuses; [`std::convert::Infallible`] if it never does.
    type Refusal: std::fmt::Debug + Send + Sync + 'static;

    /// Whether the command makes sense at all. Asked before anything is read.
    ///
    /// # Errors
    ///
    /// The refusal.
    fn validate(&self) -> Result<(), Self::Refusal> {
        Ok(())
    }

    /// Which facts it reads. By default those with the command's tags: one stream, where all events
    /// of the state go to the stream of the one tag; otherwise, for each tag, the types that carry
    /// it.
    ///
    /// # Errors
    ///
    /// A value of the command makes no name: it is too long, or holds a NUL.
    fn boundary(&self) -> Result<<Self::State as Parts>::Boundary, InvalidName> {
        <Self::State as Parts>::boundary(&self.tag_values())
    }

    /// The decision. Pure: time and ids come from `ctx`, everything else from the state.
    ///
    /// # Errors
    ///
    /// The refusal: data for the caller, not a failure.
    fn decide(&self, state: &Self::State, ctx: &Ctx) -> Outcome<Self>;
}
