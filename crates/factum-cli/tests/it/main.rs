//! The real binary, as a user runs it: every command, every kind of error, and the main job on real
//! event logs. One module a behaviour.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod apps;
mod backup;
mod bad_input;
mod bench;
mod commands;
mod compress;
mod erase;
mod events;
mod exit_codes;
mod files;
mod host;
mod imports;
mod logs;
mod main_job;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
mod quarantine;
mod replica;
mod round_trip;
mod scavenge;
mod selection;
mod shell;
#[cfg(target_os = "linux")]
mod subscribers;
mod support;
#[cfg(all(unix, feature = "postgres"))]
mod tables;
mod tier;
mod top;
mod verify;
