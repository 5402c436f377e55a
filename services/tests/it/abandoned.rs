//! A test's process that is killed leaves neither a server nor a folder behind.

use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use factum_services::nats::Nats;

/// Set in the process that is to be killed.
const VARIABLE: &str = "FACTUM_SERVICES_ABANDON";
const LIMIT: Duration = Duration::from_secs(30);

/// Not a test by itself: it holds the server that the other process asks for, until it is killed.
#[test]
fn holds_a_server() {
    if env::var_os(VARIABLE).is_some() {
        let nats = Nats::shared().unwrap();
        println!("\nserves {} in {}", nats.url(), env::temp_dir().display());
        thread::sleep(LIMIT);
    }
}

#[test]
fn nothing_is_left_by_a_process_that_was_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let mut holder = Command::new(env::current_exe().unwrap());
    holder.args(["--exact", "abandoned::holds_a_server", "--nocapture"]).env(VARIABLE, "1");
    let holder = holder.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).spawn();
    let mut holder = holder.unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().starts_with("serves")).unwrap().unwrap();
    let address = line.split_whitespace().nth(1).unwrap().strip_prefix("nats://").unwrap();
    TcpStream::connect(address).unwrap();
    assert!(!is_empty(temporary.path()));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let begun = Instant::now();
    while TcpStream::connect(address).is_ok() || !is_empty(temporary.path()) {
        assert!(begun.elapsed() < LIMIT, "{address} still serves, or its folder is still there");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}
