//! The engine from outside: one binary, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod reopening;
mod tools;
