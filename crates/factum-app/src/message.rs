//! Messages: facts and commands on their way to other programs, through whatever broker is there.
//!
//! A [`Message`] is a CloudEvent; a [`Publisher`] gives it to a broker, a [`Consumer`] takes it
//! from one. Both are traits, so that nothing above them knows which broker: a broker is a crate of
//! its own, and passes the conformance suite of the test kit.
//!
//! What must hold, whatever the broker: what was confirmed is there; messages with one key are in
//! order; what is not acknowledged comes again. So delivery is at least once, and who must do a
//! thing once remembers what was done in the transaction of its effect.

mod attributes;
mod cloud_event;
pub mod commands;
mod consume;
mod kept;
mod memory;
mod publish;
mod receive;
mod structured;

pub use attributes::AttributeError;
pub use cloud_event::Message;
pub(crate) use consume::next_batch;
pub use consume::{
    Close, ConsumeError, Consumer, Delivered, Deliveries, Group, Malformed, Settle, SettleError,
    Start, Subscription,
};
pub use memory::{DeadMessage, MemoryBroker, MemoryLimits};
pub use publish::{Outgoing, PublishError, Publisher};
pub(crate) use receive::Receiver;
pub use receive::{ReceiverState, Receiving};
pub use structured::{STRUCTURED, StructuredError};
