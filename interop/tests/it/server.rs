//! The real binary, `factum dev`, over a folder that is removed with it.
//!
//! It listens on a free port, and on the same one each time that it is started again, so that a
//! client finds it where it was. What it says goes to a file, which is shown if the test fails.

use crate::{PATIENCE, skip::skipped};
use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server.
pub(crate) struct Server {
    dir: TempDir,
    child: Child,
    address: String,
}

impl Server {
    /// A server over an empty store; `None`, said to be skipped, where there is no binary.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let Some(program) = std::env::var_os("FACTUM_BIN") else {
            skipped(test, "FACTUM_BIN is not set: run `cargo xtask test interop`");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let (child, address) = spawn(Path::new(&program), dir.path(), "127.0.0.1:0");
        Some(Self { dir, child, address })
    }

    /// Where it listens: host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it between two instructions, as a crash of the process does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as a service manager does, and waits until it has. Clients go on meanwhile:
    /// they are told that the connection ends, and have their part in that.
    pub(crate) async fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let asked = cfg!(unix) && Command::new("kill").args(["-TERM", &pid]).status().is_ok();
        if !asked {
            self.child.kill().unwrap();
        }
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "asked to stop, the server goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(status.success() || !asked, "asked to stop, the server ended with {status}");
    }

    /// Starts it again, at the same address, over the same folder.
    pub(crate) fn start_again(&mut self) {
        let program = std::env::var_os("FACTUM_BIN").unwrap();
        (self.child, _) = spawn(Path::new(&program), self.dir.path(), &self.address);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = std::fs::read_to_string(self.dir.path().join("stderr"));
            eprintln!("the server said: {}", said.unwrap_or_default());
        }
    }
}

/// Starts the program and waits until it says where it listens.
fn spawn(program: &Path, dir: &Path, listen: &str) -> (Child, String) {
    let mut child = Command::new(program)
        .args(serving(dir, listen))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| address(&line));
    // Whatever it says from here on is read, so that it never waits for a full pipe.
    thread::spawn(move || lines.for_each(drop));
    let Some(address) = address else {
        let said = std::fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        panic!("the server does not run: {:?}: {said}", child.wait());
    };
    (child, address)
}

/// A folder; or, where `FACTUM_INTEROP_STORE` names a database of PostgreSQL, a schema of its own
/// there.
fn serving(dir: &Path, listen: &str) -> Vec<OsString> {
    let Ok(store) = std::env::var("FACTUM_INTEROP_STORE") else {
        let dev = ["dev", "--listen", listen, "--data"].map(OsString::from);
        return dev.into_iter().chain([dir.join("data").into()]).collect();
    };
    let schema = dir.file_name().unwrap().to_string_lossy().replace(['.', '-'], "_");
    let store = format!("{store}?factum_schema=interop{schema}");
    ["serve", "--insecure", "--listen", listen, "--store", &store].map(OsString::from).into()
}

/// The address in the line that names it: for KurrentDB's clients, or at its end.
fn address(line: &str) -> Option<String> {
    if line.starts_with("factum serves ") {
        return line.split_once(" at factum://").map(|(_, address)| address.to_owned());
    }
    let (_, rest) = line.split_once("kurrentdb://")?;
    let (address, _) = rest.split_once('?')?;
    Some(address.to_owned())
}
