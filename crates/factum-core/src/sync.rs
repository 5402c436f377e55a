//! Locks and threads: the standard library's, or with the feature `schedules` those of a checker
//! that chooses who comes next. For the store's own threads; nothing else needs it.

#[cfg(feature = "schedules")]
pub use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic, mpsc},
    thread,
};
#[cfg(not(feature = "schedules"))]
pub use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic, mpsc},
    thread,
};

/// The few locks and atomics of the protocols that are checked in every order of their steps, with
/// the feature `loom`: three threads at most, and nothing of a store.
pub mod modelled {
    #[cfg(not(feature = "loom"))]
    pub use super::{Mutex, MutexGuard, atomic};
    #[cfg(feature = "loom")]
    pub use loom::sync::{Mutex, MutexGuard, atomic};
}
