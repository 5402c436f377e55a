//! The `factum` command: a store in one command, and facts in and out of any store.
//!
//! Everything but `dev` and `serve` works over [`factum::AnyStore`] and nothing else: which store
//! that is, `--at URL` says.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | the command line |
//! | [`command`] | what each command does |
//! | [`input`], [`template`], [`time`] | files of events: read, and understood |
//! | [`import`], [`identity`] | from a file into a store, each event once |
//! | [`mod@print`], [`console`] | events and errors, for people and for programs |
//! | [`mod@top`], [`mod@bench`] | a server, watched; a disk or a server, measured |
//! | [`failure`] | exit codes |

mod args;
mod bench;
mod command;
mod console;
mod failure;
mod identity;
mod import;
mod input;
mod json;
#[cfg(feature = "planted")]
mod planted;
mod print;
mod template;
mod time;
mod top;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "planted")]
    planted::plant();
    match command::run(args::Cli::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
