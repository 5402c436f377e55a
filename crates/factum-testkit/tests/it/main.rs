//! The suite over the in-memory store, and the proof of the suite: stores with planted bugs.

mod memory;
