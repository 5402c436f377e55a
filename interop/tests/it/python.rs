//! The Python packages, by the scripts in `python/`: a test a script.
//!
//! `FACTUM_PYTHON` is a Python that has the packages of `requirements.txt`. A script prints each
//! case by name and then how many passed; that is shown past the test harness, so that the gate
//! counts the cases. Each case has a server of its own, as here.

use crate::{server::Server, skip::skipped};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

fn run(script: &str) {
    let Some(python) = std::env::var_os("FACTUM_PYTHON") else {
        return skipped(&format!("python::{script}"), "FACTUM_PYTHON is not set");
    };
    if Server::start(&format!("python::{script}")).is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let output = Command::new(python)
        // No compiled files beside the scripts.
        .args(["-B", &format!("{script}.py")])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&[b"\n", &output.stdout[..]].concat()).unwrap();
    drop(stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}.py: {}\n{said}", output.status);
}

#[test]
fn kurrentdbclient() {
    run("kurrentdb_cases");
}

#[test]
fn umadb() {
    run("umadb_cases");
}
