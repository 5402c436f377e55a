//! Running a process so that one of its calls of the system is its last, or fails.

use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Stdio},
};

/// Calls that matter to what is on disk, or that say something.
pub(crate) const CALLS: &str = "pwrite64,pread64,write,fdatasync,fsync,openat,rename,renameat,\
                                renameat2,unlink,unlinkat,ftruncate,flock,mkdir";

/// Why it cannot be used here.
pub(crate) fn is_missing() -> Option<String> {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-qq", "-o", "/dev/null", "true"]);
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match probe.status() {
        Ok(status) if status.success() => None,
        Ok(_) => Some("strace may not trace here (ptrace is not allowed)".to_owned()),
        Err(_) => Some("strace is not installed".to_owned()),
    }
}

/// A process under `strace`, to which this is done.
pub(crate) fn command(inject: &str, program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    let calls = inject.split(':').next().unwrap_or(CALLS);
    command.arg(format!("trace={calls}")).args(["-e", &format!("inject={inject}")]);
    command.arg(program).args(arguments);
    command
}

/// The same beside a process that stays our own child, and that is slowed at these calls only: for
/// one that is to be watched, and killed.
pub(crate) fn aside(inject: &str, program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e"]);
    let calls = inject.split(':').next().unwrap_or(CALLS);
    command.arg(format!("trace={calls}")).args(["-e", &format!("inject={inject}")]);
    command.arg(program).args(arguments);
    command
}

/// How many such calls the thread makes that makes most.
pub(crate) fn most_calls(program: &Path, arguments: &[String]) -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let log = folder.path().join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(["-e", &format!("trace={CALLS}")]);
    command.arg(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().map_err(|error| format!("{command:?}: {error}"))?;
    let text = std::fs::read_to_string(&log).map_err(|error| format!("{log:?}: {error}"))?;
    let mut calls: HashMap<&str, u64> = HashMap::new();
    for line in text.lines().filter(|line| !line.contains("resumed>")) {
        let thread = line.split_whitespace().next().unwrap_or_default();
        *calls.entry(thread).or_default() += 1;
    }
    calls.into_values().max().ok_or_else(|| "no call was seen".to_owned())
}
