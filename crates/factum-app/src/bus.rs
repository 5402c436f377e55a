//! The bus: handlers of events, side by side, in order for each key; and what becomes of events
//! that cannot be handled.
//!
//! A handler ([`Handle`]) is handed one event of a key at a time, and many keys side by side; what
//! it does with [`Delivery::execute`] is done once, however often the event comes. Several in a
//! row are a [`Mediator`]. Each is registered with `AppBuilder::on`, has its own place in the
//! store, and knows nothing of the others: handlers that send commands are a choreography, without
//! a coordinator.
//!
//! An event that fails for good becomes a dead letter: it is kept in the store, as it was, and what
//! comes later for the same key waits behind it, while all other keys go on. Somebody replays it,
//! or discards it: [`DeadLetters`].

mod checkpoint;
mod dead;
mod delivery;
mod letters;
mod runner;

pub use dead::{DeadLetter, DeadLetterError, DeadLetters};
pub use delivery::{Delivery, Handle, HandlerError, Mediator};

pub(crate) use letters::Letters;
