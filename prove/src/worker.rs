//! Starting the process that is killed, and hearing what it says.

use crate::work::Said;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// What was said of each append, by number.
pub(crate) type Heard = BTreeMap<u64, Said>;

/// A running process.
pub(crate) struct Worker {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub(crate) heard: Heard,
}

/// The arguments that make this program the one that is killed.
pub(crate) fn arguments(folder: &Path, seed: u64) -> [String; 3] {
    ["--work".to_owned(), folder.display().to_string(), seed.to_string()]
}

/// This program.
pub(crate) fn program() -> std::path::PathBuf {
    std::env::current_exe().expect("this program has a path")
}

impl Worker {
    pub(crate) fn start(folder: &Path, seed: u64) -> Result<Self, String> {
        let mut command = Command::new(program());
        command.args(arguments(folder, seed));
        Self::run(command)
    }

    /// Runs it as this command says.
    pub(crate) fn run(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let out = child.stdout.take().expect("it is piped");
        Ok(Self { child, lines: BufReader::new(out).lines(), heard: Heard::new() })
    }

    /// Hears one line more; false at the end.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(Ok(line)) = self.lines.next() else { return false };
        self.heard.extend(Said::parse(&line));
        true
    }

    /// Kills it, and hears what it had said.
    pub(crate) fn kill(mut self) -> Heard {
        // It may have ended already.
        let _ = self.child.kill();
        self.rest()
    }

    /// Hears it out.
    pub(crate) fn rest(mut self) -> Heard {
        while self.hear() {}
        let _ = self.child.wait();
        std::mem::take(&mut self.heard)
    }
}
