//! What the figures were measured on: what matters to them, and no names of hosts or folders.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::workspace::{self, Workspace};

/// Describes this machine, the disk under a folder, and what is measured.
pub(super) fn describe(workspace: &Workspace, folder: &Path) -> Value {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "date": said("date", &["-u", "+%Y-%m-%d"]),
        "time": said("date", &["-u", "+%H:%M UTC"]),
        "cpu": field(&cpus, "model name").unwrap_or("unknown"),
        "cores": cores,
        "memory_gib": memory_gib(&memory),
        "kernel": kernel(&said("uname", &["-sr"])),
        "disk": disk(folder),
        "file_system": said("findmnt", &["-n", "-o", "FSTYPE", "-T", &folder.to_string_lossy()]),
        "commit": commit(workspace),
    })
}

/// A line that says how busy the machine was with other things before a round.
pub(super) fn load(round: u64) -> Value {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Option<f64> = load.split(' ').next().and_then(|load| load.parse().ok());
    json!({ "peer": "machine", "workload": "load", "params": {}, "run": round, "load": load })
}

/// What a command says in one line, or that it says nothing.
fn said(program: &str, arguments: &[&str]) -> String {
    let said = workspace::capture(workspace::command(program).args(arguments));
    said.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The first `name : value` of a file of `/proc`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn memory_gib(text: &str) -> u64 {
    let kib = field(text, "MemTotal").and_then(|value| value.split(' ').next()?.parse().ok());
    (kib.unwrap_or(0u64) + (1 << 19)) >> 20
}

/// `Linux 6.18`: what a machine's owner added to the version is theirs.
fn kernel(release: &str) -> String {
    let (system, version) = release.split_once(' ').unwrap_or((release, ""));
    let version: Vec<&str> = version.split(['.', '-']).take(2).collect();
    format!("{system} {}", version.join(".")).trim().to_owned()
}

/// What drives the disk.
fn disk(folder: &Path) -> &'static str {
    let device = said("findmnt", &["-n", "-o", "SOURCE", "-T", &folder.to_string_lossy()]);
    let name = device.rsplit('/').next().unwrap_or_default();
    match name.get(..2) {
        Some("vd") => "virtio",
        Some("nv") => "NVMe",
        Some("sd") => "SCSI or SATA",
        _ => "unknown",
    }
}

fn commit(workspace: &Workspace) -> String {
    let root = workspace.root.to_string_lossy();
    let changed = said("git", &["-C", &root, "status", "--porcelain", "--untracked-files=no"]);
    let commit = said("git", &["-C", &root, "rev-parse", "--short", "HEAD"]);
    if changed.is_empty() { commit } else { format!("{commit}, changed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_without_names() {
        assert_eq!(kernel("Linux 6.18.44-name-of-someone"), "Linux 6.18");
        assert_eq!(field("a : b\nmodel name\t: A CPU\n", "model name"), Some("A CPU"));
        assert_eq!(memory_gib("MemTotal:       24602268 kB\n"), 23);
    }
}
