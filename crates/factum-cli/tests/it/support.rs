//! Running the binary: a folder of its own for each test, and servers that end with their test.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The output of a run that must have gone well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// A run that must have failed so, saying these things on standard error.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        for part in says {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
    }
}

/// A folder to run in, and the store that commands are for.
pub(crate) struct Place {
    dir: TempDir,
    /// What `--at` says.
    pub(crate) at: String,
}

impl Place {
    /// With a store in a folder, without a server.
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), at: "file:./data".to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        command.current_dir(self.dir.path()).env("FACTUM_URL", &self.at).args(args);
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs with this on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Appends an event that must be taken.
    #[track_caller]
    pub(crate) fn append(&self, stream: &str, kind: &str, data: &str) {
        self.run(&["append", stream, "--type", kind, "--data", data]).ok();
    }

    /// Events as JSON, read with these arguments.
    #[track_caller]
    pub(crate) fn events(&self, args: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = ["read", "--json"].iter().chain(args).copied().collect();
        lines(&self.run(&args).ok())
    }

    /// How many events there are of each type, without those of the store itself.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in lines(&self.run(&["export"]).ok()) {
            *counts.entry(event["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }

    /// Starts a store in the folder `data` here; its URL becomes that of the place.
    pub(crate) fn serve(&mut self) -> Server {
        let mut command = self.command(&["dev", "--data", "data", "--listen", "127.0.0.1:0"]);
        let server = Server::start(&mut command, "Ctrl-C stops");
        self.at.clone_from(&server.url);
        server
    }
}

/// JSON lines.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A member of every event.
pub(crate) fn member(events: &[Value], key: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    events.iter().map(|event| text(&event[key])).collect()
}

/// A store that runs; killed when it goes.
pub(crate) struct Server {
    child: Child,
    out: Option<JoinHandle<String>>,
    pub(crate) url: String,
    /// What it said at first.
    pub(crate) banner: String,
}

impl Server {
    /// Starts, and waits until a line says so.
    pub(crate) fn start(command: &mut Command, says: &str) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut text, mut url) = (String::new(), None);
        while url.is_none() || !text.contains(says) {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                let mut err = String::new();
                child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
                panic!("the server ended: {text}{err}");
            }
            let found = line.split(|c: char| c.is_whitespace() || "()".contains(c));
            url = url.or(found.map(str::to_owned).find(|word| word.starts_with("factum://")));
            text.push_str(&line);
        }
        let banner = text.clone();
        let rest = thread::spawn(move || drained(out, text));
        Self { child, out: Some(rest), url: url.unwrap(), banner }
    }

    /// `HOST:PORT`.
    pub(crate) fn authority(&self) -> &str {
        self.url.strip_prefix("factum://").unwrap()
    }

    /// Bytes of memory that the process holds.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
    }

    /// The names of the process's threads.
    #[cfg(target_os = "linux")]
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            // One that ends meanwhile has no name any more.
            std::fs::read_to_string(task.unwrap().path().join("comm")).ok()
        };
        tasks.filter_map(name).map(|name| name.trim().to_owned()).collect()
    }

    /// As a power cut would, but for the disk's own memory.
    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks politely, and gives the exit code and all output.
    pub(crate) fn stop(mut self, signal: &str) -> (i32, String) {
        kill(self.child.id(), signal);
        let code = wait(&mut self.child);
        (code, self.out.take().unwrap().join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drained(mut out: BufReader<ChildStdout>, mut text: String) -> String {
    out.read_to_string(&mut text).unwrap();
    text
}

/// Sends a signal, by its name.
pub(crate) fn kill(id: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits for the end of a process, within patience.
pub(crate) fn wait(child: &mut Child) -> i32 {
    let status = eventually("the process ends", || child.try_wait().unwrap());
    status.code().unwrap_or(-1)
}

/// Asks until there is an answer, within patience.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A small disk, gone with the test.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(at: &'a Path, kib: u32) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let size = format!("size={kib}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        mount.output().is_ok_and(|ran| ran.status.success()).then_some(Self(at))
    }

    pub(crate) fn resize(&self, kib: u32) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={kib}k")]).arg(self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Says that a test was skipped, and why: aloud, and in the file that `cargo xtask test` counts.
#[allow(clippy::print_stderr, reason = "what a test says to whoever runs it")]
pub(crate) fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED: {test}: {why}");
    let Some(path) = std::env::var_os("FACTUM_SKIPS") else {
        return;
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(format!("{test}: {why}\n").as_bytes()).unwrap();
}
