//! The gate that runs clients written elsewhere, as published, against the real binary.
//!
//! Its tests live in `interop/`, a workspace of its own, and are told by variables what to use:
//! `FACTUM_BIN` is the built `factum`; `FACTUM_PYTHON` is a Python that has the packages of
//! `interop/requirements.txt`, and is not set where they could not be had: the tests that need it
//! then say that they were skipped.

use std::path::PathBuf;

use super::{Runner, Stop, tools};

/// Builds the binary, sees to Python, runs the tests.
pub(super) fn run(runner: &mut Runner) -> Result<(), Stop> {
    if !runner.has("interop") {
        return Err(Stop::Skipped("there is no interop/Cargo.toml".to_owned()));
    }
    // The whole workspace chooses the features, so that what the tests compiled is used again.
    runner.execute(runner.cargo(&["build", "--workspace", "--bin", "factum"]))?;
    let mut command = runner.cargo_in("interop", &["test", "--no-fail-fast"]);
    command.env("FACTUM_BIN", binary(runner)).env_remove("FACTUM_PYTHON");
    match python(runner) {
        Ok(program) => _ = command.env("FACTUM_PYTHON", program),
        Err(why) => runner.tally.notes.push(format!("interop with Python: {why}")),
    }
    runner.execute(command)
}

fn binary(runner: &Runner) -> PathBuf {
    runner.workspace.target.join("debug").join(format!("factum{}", std::env::consts::EXE_SUFFIX))
}

fn python(runner: &mut Runner) -> Result<PathBuf, String> {
    let requirements = runner.workspace.root.join("interop/requirements.txt");
    if !requirements.is_file() {
        return Err("there is no interop/requirements.txt".to_owned());
    }
    tools::python(runner, &requirements).map_err(|stop| {
        let (Stop::Failed(why) | Stop::Skipped(why)) = stop;
        why
    })
}
