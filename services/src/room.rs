//! The folder of a server and the processes in it; both are gone when the room is.
//!
//! They must not outlive a test that panics, is aborted or killed, nor one whose server lives in a
//! static that is never dropped. So a janitor stands beside each room: a shell that reads from a
//! pipe which only this process holds. When the pipe closes, for whatever reason, it ends the
//! groups of processes that it was told of and removes the folder. Dropping a room is closing that
//! pipe.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use crate::{Error, install, wait};

/// Reads lines of process groups, the last is what is there; then ends them, `$1` being the
/// politer signal, and removes the folder `$2`.
const JANITOR: &str = r#"
while read -r line; do groups=$line; done
for group in $groups; do kill -s "$1" -- "-$group"; done
tries=0
for group in $groups; do
  while kill -s 0 -- "-$group" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -s KILL -- "-$group"
done
tries=0
while ! rm -rf "$2" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
"#;

/// How long after `kill -9` a process may be seen; it is the system's own work to end it.
const GONE_LIMIT: Duration = Duration::from_secs(10);
/// So much of the end of a log is shown with an error.
const LOG_TAIL_BYTES: usize = 4_000;

/// A folder, and the processes that work in it.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    processes: BTreeMap<String, Child>,
    janitor: Child,
    /// `None` only while the room is dropped.
    groups: Option<ChildStdin>,
    owner: Option<Owner>,
}

/// The user that the servers of a room run as, where a server refuses to be root.
#[derive(Clone, Debug)]
struct Owner {
    name: String,
    user: u32,
    group: u32,
}

impl Room {
    /// An empty folder. Its processes are ended with `signal` first, then with KILL.
    pub(crate) fn new(signal: &str) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("factum-services-").tempdir();
        let folder = folder.map_err(Error::io("making a temporary folder"))?.keep();
        let mut janitor = Command::new("sh");
        janitor.args(["-c", JANITOR, "janitor", signal]).arg(&folder);
        // In a group of its own: Control-C ends the test, and not who cleans up after it.
        janitor.process_group(0).current_dir("/");
        janitor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut janitor = janitor.spawn().map_err(Error::io("starting sh"))?;
        let groups = janitor.stdin.take();
        Ok(Self { folder, processes: BTreeMap::new(), janitor, groups, owner: None })
    }

    /// As [`new`](Self::new); where we are root, the folder and its processes are this user's.
    pub(crate) fn owned(signal: &str, user: &str) -> Result<Self, Error> {
        let mut room = Self::new(signal)?;
        if !install::is_root() {
            return Ok(room);
        }
        let (Some(id), Some(group)) = (install::id(&["-u", user]), install::id(&["-g", user]))
        else {
            let said = "there is no such user".to_owned();
            return Err(Error::Refused { command: format!("id -u {user}"), said });
        };
        std::os::unix::fs::chown(room.folder(), Some(id), Some(group))
            .map_err(Error::io(format!("giving {} to {user}", room.folder().display())))?;
        room.owner = Some(Owner { name: user.to_owned(), user: id, group });
        Ok(room)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command of this program, in the room's folder, as its user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match &self.owner {
            None => Command::new(program),
            Some(owner) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={}", owner.user));
                command.arg(format!("--regid={}", owner.group)).arg("--init-groups");
                command.arg(program).env("USER", &owner.name).env("LOGNAME", &owner.name);
                command
            }
        };
        command.current_dir(&self.folder).env("HOME", &self.folder).stdin(Stdio::null());
        command
    }

    /// Writes a file of the room.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))
    }

    /// Runs a command to its end and returns what it printed.
    pub(crate) fn run(&self, command: &mut Command) -> Result<String, Error> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let output = command.output().map_err(Error::io(shown.clone()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let said = format!("{}{printed}", String::from_utf8_lossy(&output.stderr));
        Err(Error::Refused { command: shown, said })
    }

    /// Starts a process under a name; what it prints goes to the file `NAME.log`.
    pub(crate) fn spawn(&mut self, name: &str, mut command: Command) -> Result<(), Error> {
        assert!(!self.processes.contains_key(name), "{name} runs already");
        let log = self.log_path(name);
        let doing = || format!("writing {}", log.display());
        let output = fs::File::options().create(true).append(true).open(&log);
        let output = output.map_err(Error::io(doing()))?;
        command.stdout(output.try_clone().map_err(Error::io(doing()))?).stderr(output);
        let child = command.process_group(0).spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        let child = child.map_err(Error::io(format!("starting {program}")))?;
        self.processes.insert(name.to_owned(), child);
        self.tell_janitor()
    }

    /// Waits until `ready` says so; fails at once when the process ends.
    pub(crate) fn wait(
        &mut self,
        name: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> Result<(), Error> {
        let outcome = wait::until(limit, || match self.is_running(name) {
            true if ready(self) => Some(true),
            true => None,
            false => Some(false),
        });
        let log = || self.log(name);
        match outcome {
            Some(true) => Ok(()),
            Some(false) => Err(Error::Ended { program: name.to_owned(), log: log() }),
            None => {
                Err(Error::TimedOut { waiting: format!("{name} to answer"), limit, log: log() })
            }
        }
    }

    /// Ends a process, and all that it started, with `kill -9`; nothing where it does not run.
    pub(crate) fn kill9(&mut self, name: &str) -> Result<(), Error> {
        let Some(mut child) = self.processes.remove(name) else { return Ok(()) };
        // Stopped first, so that it starts nobody while its children are being counted.
        signal("STOP", &[format!("-{}", child.id())])?;
        let children = descendants(child.id());
        let mut all: Vec<String> = children.iter().map(ToString::to_string).collect();
        all.push(format!("-{}", child.id()));
        signal("KILL", &all)?;
        child.wait().map_err(Error::io(format!("waiting for {name} to end")))?;
        let gone = || children.iter().all(|id| !is_alive(*id)).then_some(());
        if wait::until(GONE_LIMIT, gone).is_none() {
            let waiting = format!("the children of {name} to end");
            return Err(Error::TimedOut { waiting, limit: GONE_LIMIT, log: self.log(name) });
        }
        self.tell_janitor()
    }

    /// Stops a process where it is (`STOP`), or lets it go on (`CONT`).
    pub(crate) fn signal(&self, name: &str, which: &str) -> Result<(), Error> {
        let Some(child) = self.processes.get(name) else { return Ok(()) };
        let mut all: Vec<String> = descendants(child.id()).iter().map(u32::to_string).collect();
        all.push(format!("-{}", child.id()));
        signal(which, &all)
    }

    /// Whether this process is one of the room's that was not ended by us.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.processes.values().any(|child| child.id() == id)
    }

    /// Whether a process of that name was started, and not ended by us.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.processes.contains_key(name)
    }

    pub(crate) fn is_running(&mut self, name: &str) -> bool {
        let child = self.processes.get_mut(name);
        let ended = child.map(|child| !matches!(child.try_wait(), Ok(None)));
        if ended == Some(true) {
            self.processes.remove(name);
        }
        ended == Some(false)
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.log_path(name)).unwrap_or_default();
        let tail = bytes.get(bytes.len().saturating_sub(LOG_TAIL_BYTES)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    fn tell_janitor(&mut self) -> Result<(), Error> {
        let groups: Vec<String> = self.processes.values().map(|one| one.id().to_string()).collect();
        let Some(pipe) = &mut self.groups else { return Ok(()) };
        writeln!(pipe, "{}", groups.join(" ")).map_err(Error::io("writing to the janitor"))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.groups.take());
        // What is waited for is ended by the janitor; that it cannot be waited for is no harm.
        for child in self.processes.values_mut() {
            let _ = child.wait();
        }
        let _ = self.janitor.wait();
    }
}

fn signal(which: &str, to: &[String]) -> Result<(), Error> {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"which=$1; shift; kill -s "$which" -- "$@""#, "kill", which]).args(to);
    // One that has just ended by itself is an error of `kill`, and what was wanted.
    shell.stderr(Stdio::null()).status().map_err(Error::io("starting sh"))?;
    Ok(())
}

/// Everything that this process started, and what that started; none where there is no `/proc`.
fn descendants(of: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pairs: Vec<(u32, u32)> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| Some((id, stat(id)?.1)))
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(pairs.iter().filter(|(_, its)| *its == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.split_off(1)
}

/// Neither gone nor merely waiting to be counted by its parent.
fn is_alive(id: u32) -> bool {
    stat(id).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The state of a process and its parent, as `/proc` has them behind the name in parentheses.
fn stat(id: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room in which a shell runs that has a child in a session of its own.
    fn busy() -> (Room, u32) {
        let mut room = Room::new("TERM").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 1000 & echo $!; wait"]);
        room.spawn("shell", shell).unwrap();
        let child = wait::until(GONE_LIMIT, || room.log("shell").trim().parse().ok()).unwrap();
        (room, child)
    }

    #[test]
    fn kill9_ends_the_children_too_also_those_in_another_session() {
        let (mut room, child) = busy();
        assert!(is_alive(child));
        room.kill9("shell").unwrap();
        assert!(!is_alive(child));
        assert!(!room.is_running("shell"));
    }

    #[test]
    fn nothing_is_left_of_a_room_that_was_dropped() {
        let mut room = Room::new("TERM").unwrap();
        let folder = room.folder().to_owned();
        let mut sleep = Command::new("sleep");
        sleep.arg("1000");
        room.spawn("sleep", sleep).unwrap();
        let id = room.processes.get("sleep").unwrap().id();
        drop(room);
        assert!(!is_alive(id));
        assert!(!folder.exists());
    }

    #[test]
    fn what_ends_instead_of_serving_is_reported_with_its_last_lines() {
        let mut room = Room::new("TERM").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo the port is taken; exit 1"]);
        room.spawn("server", shell).unwrap();
        let error = room.wait("server", GONE_LIMIT, |_| false).unwrap_err();
        assert!(matches!(&error, Error::Ended { log, .. } if log.contains("the port is taken")));
    }
}
