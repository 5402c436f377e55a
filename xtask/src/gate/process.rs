//! Runs a program, shows what it prints, and ends it when its time is up.
//!
//! Apart so that no gate can hang: each has one deadline, and waiting happens only here.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How often a silent program is looked at.
const POLL: Duration = Duration::from_millis(100);

/// How long a program's pipe may stay silent after it ended, because another still holds it.
const LINGER: Duration = Duration::from_secs(1);

/// Runs to the end; the error says how it failed. `see` gets each line of its standard output.
pub(super) fn run(
    mut command: Command,
    deadline: Instant,
    see: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let shown = display(&command);
    println!("$ {shown}");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{shown}: {error}"))?;
    let lines = read_lines(child.stdout.take().expect("standard output was asked to be a pipe"));
    match watch(&mut child, &lines, deadline, see) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("{shown}: {status}")),
        Ok(None) => Err(format!("{shown}: ended because its time was up: something hangs")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// Shows lines until the program ends; nothing where the deadline came first.
fn watch(
    child: &mut Child,
    lines: &Receiver<String>,
    deadline: Instant,
    see: &mut dyn FnMut(&str),
) -> std::io::Result<Option<ExitStatus>> {
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => {
                println!("{line}");
                see(&line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Its output is closed, so it is about to end.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        match ended {
            Some((status, since)) if drained(lines, since, &mut *see) => return Ok(Some(status)),
            None if Instant::now() >= deadline => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            _ => {}
        }
    }
}

/// Shows what is left; true once there will be no more.
fn drained(lines: &Receiver<String>, since: Instant, see: &mut dyn FnMut(&str)) -> bool {
    loop {
        match lines.try_recv() {
            Ok(line) => {
                println!("{line}");
                see(&line);
            }
            Err(mpsc::TryRecvError::Disconnected) => return true,
            Err(mpsc::TryRecvError::Empty) => return since.elapsed() >= LINGER,
        }
    }
}

/// Lines as they come; a line need not be valid text.
fn read_lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::sync_channel(1024);
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line);
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// The command as one would type it, without its folders and variables.
fn display(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_stem().unwrap_or_default();
    let mut shown = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> (Result<(), String>, Vec<String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut seen = Vec::new();
        let result = run(command, Instant::now() + limit, &mut |line| seen.push(line.to_owned()));
        (result, seen)
    }

    #[test]
    fn every_line_is_seen() {
        let (result, seen) = sh("echo one; printf two", Duration::from_secs(60));
        assert_eq!(result, Ok(()));
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn an_exit_code_is_a_failure() {
        let (result, _) = sh("exit 3", Duration::from_secs(60));
        assert!(result.is_err_and(|error| error.contains('3')));
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let (result, seen) = sh("echo begun; exec sleep 600", Duration::from_secs(2));
        assert!(result.is_err_and(|error| error.contains("time was up")));
        assert_eq!(seen, ["begun"]);
    }

    #[test]
    fn a_child_left_behind_does_not_hold_us() {
        let started = Instant::now();
        let (result, _) = sh("sleep 30 & echo done", Duration::from_secs(60));
        assert_eq!(result, Ok(()));
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}
