//! The arguments of `factum events`.

use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;

/// What to do about the shapes of events.
#[derive(Subcommand, Debug)]
pub(crate) enum Events {
    /// Check a lock file: against an older one, or against what a store really holds
    Check(EventsCheck),
}

/// What to check.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("with").required(true).multiple(true).args(["against", "store"]))]
pub(crate) struct EventsCheck {
    /// The lock file that an application keeps beside its code
    #[arg(value_name = "LOCK")]
    pub(crate) lock: PathBuf,
    /// An older one, such as that of the last release: all of its facts must stay readable
    #[arg(long, value_name = "RELEASED")]
    pub(crate) against: Option<PathBuf>,
    /// The store that --at names: every type and version in it must be known
    #[arg(long)]
    pub(crate) store: bool,
}
