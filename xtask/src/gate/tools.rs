//! Programs that gates need beside cargo: found, else installed, else the gate says why not.
//!
//! Apart because everything here touches the machine, though never outside the cache folder (a
//! part of the toolchain excepted). Versions are pinned: a gate must not change its mind because
//! somebody published something.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Runner, Stop};
use crate::workspace::{self, cache};

/// The version that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

/// Makes sure of a part of the toolchain: `cargo COMMAND`, which rustup calls `component`.
pub(super) fn component(runner: &mut Runner, command: &str, component: &str) -> Result<(), Stop> {
    if succeeds(&mut runner.cargo(&[command, "--version"])) {
        return Ok(());
    }
    let mut rustup = workspace::command("rustup");
    rustup.args(["component", "add", component]);
    runner.execute(rustup).map_err(|_| {
        let cure = format!("{component} is not installed: rustup component add {component}");
        Stop::Skipped(cure)
    })
}

/// cargo-deny: the one on the path, or ours in the cache folder, built there on first use.
pub(super) fn cargo_deny(runner: &mut Runner) -> Result<Command, Stop> {
    if succeeds(workspace::command("cargo-deny").arg("--version")) {
        return Ok(workspace::command("cargo-deny"));
    }
    let folder = cache()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = folder.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        // Unoptimised, it is built in about a minute on two cores, and still ends in a second.
        let mut install = workspace::cargo();
        install.args(["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug"]);
        install.args(["--no-default-features", "--root"]).arg(&folder);
        install.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
        runner.execute(install).map_err(|stop| absent("cargo-deny", stop))?;
    }
    Ok(workspace::command(program))
}

/// A Python that has the packages of this requirements file, in a virtual environment.
pub(super) fn python(runner: &mut Runner, requirements: &Path) -> Result<PathBuf, Stop> {
    let wanted = fs::read_to_string(requirements)?;
    let folder = cache()?.join("interop-python");
    let program = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) && works(&program) {
        return Ok(program);
    }
    let base = ["python3", "python"].into_iter().find(|name| works(Path::new(name)));
    let base =
        base.ok_or_else(|| Stop::Skipped("no Python 3.9 or later on the path".to_owned()))?;
    let mut create = workspace::command(base);
    create.args(["-m", "venv", "--clear"]).arg(&folder);
    runner.execute(create).map_err(|stop| absent("a virtual environment", stop))?;
    let mut install = workspace::command(&program);
    install.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements);
    runner.execute(install).map_err(|stop| absent("a Python package", stop))?;
    fs::write(installed, wanted)?;
    Ok(program)
}

fn works(python: &Path) -> bool {
    let check = "import sys; assert sys.version_info >= (3, 9)";
    succeeds(workspace::command(python).args(["-c", check]))
}

fn absent(what: &str, stop: Stop) -> Stop {
    let (Stop::Failed(why) | Stop::Skipped(why)) = stop;
    Stop::Skipped(format!("{what} could not be installed: {why}"))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
