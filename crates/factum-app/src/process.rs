//! Processes (sagas): events come in, commands and timers go out.
//!
//! An instance of a process has one stream, `process.NAME-KEY`, which is its inbox and its outbox:
//! each input that it took is one event there, together with all that the instance is after it (its
//! state, what it has sent and not heard of, its timers, its compensations). So to read an instance
//! is to read one event; an input that is in is not taken again; and what is to be done yet is
//! found again after a crash.
//!
//! `react` is pure, and so are `instance` (one step) and `desk` (what is outstanding); `runner`,
//! `pending` and `journal` are the shell around them.

mod control;
mod desk;
mod instance;
mod journal;
mod mailbox;
mod pending;
mod record;
mod route;
mod runner;
mod saga;
mod steps;
mod timeline;

pub use control::{ControlError, InstanceStatus, ProcessHandle};
pub(crate) use instance::Given;
pub use instance::StepError;
pub use record::Parked;
pub use route::Route;
pub use saga::{Progress, Saga};
pub use steps::{Move, Steps, days, hours, minutes, seconds};
pub use timeline::{Moment, Timeline};

use crate::decision::{CommandSet, Reply};
use crate::event::EventSet;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A process: what happens when something has happened. Steps that are done one after the other,
/// and undone in reverse, are written as a [`Saga`].
///
/// ```
/// use factum_app::{
///     Call, CommandSet, Decision, Ctx, EventSet, Outcome, State, command, emit, event,
///     process::{Input, Process, Route, Steps, minutes},
/// };
/// # use serde::{Deserialize, Serialize};
/// # use std::convert::Infallible;
///
/// #[event("order.placed")]
/// struct OrderPlaced { #[tag] order: u32 }
/// #[event("payment.received")]
/// struct PaymentReceived { #[tag] order: u32 }
/// # #[event("order.closed")]
/// # struct OrderClosed { #[tag] order: u32 }
/// # #[derive(Clone, Default)]
/// # struct Order;
/// # impl State for Order {
/// #     type Event = OrderClosed;
/// #     fn evolve(self, _: &OrderClosed) -> Self { self }
/// # }
/// # macro_rules! decided { ($name:ident) => { impl Decision for $name {
/// #     type State = Order;
/// #     type Refusal = Infallible;
/// #     fn decide(&self, _: &Order, _: &Ctx) -> Outcome<Self> {
/// #         emit(OrderClosed { order: self.order })
/// #     }
/// # } } }
/// #[command("order.confirm")]
/// struct Confirm { #[tag] order: u32 }
/// #[command("order.cancel")]
/// struct Cancel { #[tag] order: u32 }
/// # decided!(Confirm);
/// # decided!(Cancel);
///
/// #[derive(Clone, Debug, EventSet)]
/// enum PaymentEvent { Placed(OrderPlaced), Received(PaymentReceived) }
/// #[derive(Clone, Debug, CommandSet)]
/// enum PaymentCommand { Confirm(Confirm), Cancel(Cancel) }
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Payment { order: u32 }
///
/// impl Process for Payment {
///     const NAME: &'static str = "payment";
///     type Event = PaymentEvent;
///     type Command = PaymentCommand;
///
///     fn route(event: &PaymentEvent) -> Route {
///         match event {
///             PaymentEvent::Placed(e) => Route::start(e.order),
///             PaymentEvent::Received(e) => Route::proceed(e.order),
///         }
///     }
///
///     fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
///         match input {
///             Input::Event(PaymentEvent::Placed(e)) => {
///                 self.order = e.order;
///                 steps.after(minutes(15), "unpaid")
///             }
///             Input::Event(PaymentEvent::Received(e)) => {
///                 steps.send(Confirm { order: e.order }).end()
///             }
///             Input::TimedOut("unpaid") => steps.send(Cancel { order: self.order }).end(),
///             _ => steps,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process",
    label = "no `Process`",
    note = "write `impl Process for {Self}`: its name, its events and commands, `route` and `react`"
)]
pub trait Process: Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The pinned name, without `-`: its streams are `process.NAME-KEY`.
    const NAME: &'static str;

    /// The version of the state's shape. Raise it with [`Process::migrate`].
    const VERSION: u32 = 1;

    /// Where it begins when it is new.
    const START: StartFrom = StartFrom::Beginning;

    /// The events that it reacts to.
    type Event: EventSet;

    /// The commands that it sends; [`crate::NoCommand`] if it sends none.
    type Command: CommandSet;

    /// Which instance an event is for, and whether it starts, goes on or stops with it. Total:
    /// [`Route::ignore`] is an answer too.
    ///
    /// By default an event is for the instance with the value of its first tag, and starts it where
    /// it is not running; an event without a tag is for none.
    fn route(event: &Self::Event) -> Route {
        event.tag_values().first().map_or(Route::ignore(), |(_, value)| Route::start(value))
    }

    /// What follows from an input. Pure: time comes with the steps.
    fn react(&mut self, input: Input<'_, Self>, steps: Steps<Self>) -> Steps<Self>;

    /// The state that an older version stored, as this one would have stored it. Unchanged, unless
    /// it is said otherwise: a field with `#[serde(default)]` needs no more.
    ///
    /// # Errors
    ///
    /// Why it cannot be: the instance is then left alone, and the input becomes a dead letter.
    fn migrate(version: u32, state: Value) -> Result<Value, String> {
        let _ = version;
        Ok(state)
    }
}

/// Where a process begins that has never run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartFrom {
    /// With the first event that is stored. What was long ago due is due at once.
    Beginning,
    /// With what comes after its first start.
    Now,
}

/// What a process reacts to.
#[derive(Debug)]
pub enum Input<'a, P: Process> {
    /// Something has happened.
    Event(P::Event),
    /// The timer with this name went off.
    TimedOut(&'a str),
    /// A command of this run was answered. What was sent before the end of a run is still done,
    /// but its answer is not waited for.
    Replied(P::Command, Reply),
}
