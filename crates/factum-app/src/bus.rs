//! The bus: handlers of events, side by side, in order for each key; and what becomes of events
//! that cannot be handled.
//!
//! An event that fails for good becomes a dead letter: it is kept in the store, as it was, and what
//! comes later for the same key waits behind it, while all other keys go on. Somebody replays it,
//! or discards it: [`DeadLetters`].

mod dead;
mod letters;

pub use dead::{DeadLetter, DeadLetterError, DeadLetters};

pub(crate) use letters::Letters;
