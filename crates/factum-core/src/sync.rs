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
