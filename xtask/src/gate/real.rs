//! The gate that lets real processes crash on real file systems: `prove/`, at the size of a change.

use std::process::Command;

use super::{Runner, Stop};

/// Seconds for all rows together.
const SECONDS: &str = "100";

/// Builds the command and the program that is killed, and runs its rows.
pub(super) fn run(runner: &mut Runner) -> Result<(), Stop> {
    build(runner, &[])?;
    let mut command = program(runner);
    command.env("SIM_SECONDS", SECONDS);
    runner.execute(command)
}

/// Builds both, with these arguments more.
pub(super) fn build(runner: &mut Runner, more: &[&str]) -> Result<(), Stop> {
    // The whole workspace chooses the features, so that what the tests compiled is used again.
    let build = ["build", "--workspace", "--bin", "factum", "--bin", "prove-real"];
    runner.execute(runner.cargo(&[&build[..], more].concat()))
}

/// The program that runs the rows, which knows where the command is.
pub(super) fn program(runner: &Runner) -> Command {
    let built = runner.workspace.target.join("debug");
    let name = |name: &str| built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(name("prove-real"));
    command.env("FACTUM_BIN", name("factum"));
    command
}
