//! `cargo xtask`: the project's own commands.
//!
//! - `cargo xtask test [GATE…]`: every gate and test, or only those named; see [`gate`].
//! - `cargo xtask tidy`: the house rules alone; see [`tidy`].
//! - `cargo xtask bench`: the benchmark of every event store; see [`bench`].
//! - `cargo xtask prove [ROW…]`: the reliability programme, towards a release; see [`prove`].
//! - `cargo xtask compare`: counts the README's application beside others; see [`compare`].
//! - `cargo xtask proto`: makes the generated code of `factum-proto` anew; see [`proto`].
//!
//! Apart from everything else so that whoever works on Factum needs Rust and nothing more. It must
//! compile in seconds: two small dependencies, and what is heavy is another program that it runs.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command of the developers: what it prints is what it is for"
)]

mod bench;
mod block;
mod compare;
mod gate;
mod proto;
mod prove;
mod tidy;
mod workspace;

use std::{error::Error, process::ExitCode};

use workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test [GATE…]  run every gate and test, or only those named
  test --list   name the gates
  tidy          check the house rules alone
  bench         compare the speed of event stores; `bench --help` says how
  prove [ROW…]  run the reliability programme towards a release; `prove --help` says how
  compare       count the README's application beside those of other frameworks
  proto         make the generated code of factum-proto anew
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the command; true where nothing failed.
fn dispatch(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let Some((command, rest)) = arguments.split_first() else {
        return Err(USAGE.into());
    };
    match (command.as_str(), rest) {
        ("test", [flag]) if flag == "--list" => {
            gate::print_list();
            Ok(true)
        }
        ("test", names) => gate::run(&Workspace::load()?, names),
        ("tidy", []) => tidy::report(&Workspace::load()?),
        ("bench", options) => bench::run(&Workspace::load()?, options),
        ("prove", arguments) => prove::run(&Workspace::load()?, arguments),
        ("compare", []) => compare::run(&Workspace::load()?).map(|()| true),
        ("proto", []) => proto::generate().map(|()| true),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => Err(format!("no such command: {}\n\n{USAGE}", arguments.join(" ")).into()),
    }
}
