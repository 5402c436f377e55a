//! From the start of a server (or the opening of a folder) to its first answers, its memory then,
//! and its bytes on the disk.

use crate::{
    payload::numbered,
    peer::{self, Client, Home, Shared, Subject},
    sample::{self, Label},
};
use anyhow::{Context, Result, ensure};
use rustix::{
    fs::{Advice, fadvise},
    process::{Pid, Signal, kill_process},
};
use serde_json::json;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// After this, a server that does not answer is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two attempts to connect to a server that is starting.
const POLL: Duration = Duration::from_millis(1);

/// Where the store is.
pub(crate) struct Place {
    pub(crate) peer: String,
    pub(crate) at: String,
    /// The server and its arguments; empty where the store is opened in this process.
    pub(crate) server: Vec<String>,
}

/// When the first answers came, from the start.
struct Answers {
    connected: Duration,
    read: Duration,
    appended: Duration,
}

pub(crate) async fn open(
    place: &Place,
    label: &Label,
    events: u64,
    evict: Option<&Path>,
) -> Result<()> {
    if let Some(folder) = evict {
        files(folder)?.iter().try_for_each(|(path, _)| drop_pages(path))?;
    }
    let start = Instant::now();
    let server = start_server(&place.server)?;
    let (answers, client) = first_answers(place, server.is_some(), start).await?;
    let pid = server.as_ref().map_or_else(std::process::id, Child::id);
    let (anonymous, resident) = memory(pid)?;
    let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
    let figures = json!({
        "connect_ms": ms(answers.connected),
        "first_read_ms": ms(answers.read),
        "first_append_ms": ms(answers.appended),
        "anonymous_mb": anonymous as f64 / 1024.0,
        "resident_mb": resident as f64 / 1024.0,
    });
    sample::print(label, &json!({ "events": events, "cold": evict.is_some() }), figures);
    drop(client);
    server.map_or(Ok(()), stop)
}

fn start_server(command: &[String]) -> Result<Option<Child>> {
    let Some((program, arguments)) = command.split_first() else { return Ok(None) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Some(command.spawn().with_context(|| format!("cannot start {program}"))?))
}

/// Asks until there is an answer: a server that is starting refuses connections, or calls.
async fn first_answers(
    place: &Place,
    again: bool,
    start: Instant,
) -> Result<(Answers, (Shared, Box<dyn Client>))> {
    let mut connected = None;
    loop {
        match try_answers(place, start, &mut connected).await {
            Err(_) if again && start.elapsed() < PATIENCE => sleep(POLL).await,
            outcome => return outcome,
        }
    }
}

async fn try_answers(
    place: &Place,
    start: Instant,
    connected: &mut Option<Duration>,
) -> Result<(Answers, (Shared, Box<dyn Client>))> {
    let peer = peer::open(&place.peer, &place.at).await?;
    let mut client = peer.client().await?;
    let connected = *connected.get_or_insert_with(|| start.elapsed());
    let times = move || async move {
        let first = client.read_all(1).await?;
        ensure!(first.events > 0, "nothing was read");
        let read = start.elapsed();
        client.append(&mut Subject::new(), &[numbered(1, 256)]).await?;
        Ok((Answers { connected, read, appended: start.elapsed() }, client))
    };
    let (answers, client) = match peer.home() {
        Home::Tasks => times().await?,
        Home::Threads => {
            let thread = std::thread::spawn(|| futures::executor::block_on(times()));
            thread.join().map_err(|_| anyhow::anyhow!("opening panicked"))??
        }
    };
    Ok((answers, (peer, client)))
}

/// Anonymous and resident KiB of a process and its children.
fn memory(pid: u32) -> Result<(u64, u64)> {
    let mut sum = (0, 0);
    for process in fs::read_dir("/proc")? {
        let Ok(status) = fs::read_to_string(process?.path().join("status")) else { continue };
        let field = |name: &str| -> Option<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        };
        let pid = Some(u64::from(pid));
        if field("Pid:") == pid || field("PPid:") == pid {
            sum.0 += field("RssAnon:").unwrap_or(0);
            sum.1 += field("VmRSS:").unwrap_or(0);
        }
    }
    Ok(sum)
}

/// Asks it to end, and waits for that.
fn stop(mut server: Child) -> Result<()> {
    let pid = Pid::from_child(&server);
    kill_process(pid, Signal::INT)?;
    let asked = Instant::now();
    while server.try_wait()?.is_none() {
        if asked.elapsed() > PATIENCE {
            server.kill()?;
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Drops a file's pages from the page cache, once they are on the disk.
fn drop_pages(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

/// The bytes that a folder takes on the disk, as allocated.
pub(crate) fn disk(label: &Label, folder: &Path, events: u64) -> Result<()> {
    let files = files(folder)?;
    let bytes: u64 = files.iter().map(|(_, metadata)| metadata.blocks() * 512).sum();
    let figures = json!({
        "bytes": bytes,
        "files": files.len(),
        "bytes_per_event": (bytes as f64 / events.max(1) as f64).round(),
    });
    sample::print(label, &json!({ "events": events }), figures);
    Ok(())
}

/// Every file below a folder. One that goes away meanwhile is none.
fn files(folder: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&path)?),
            Ok(metadata) if metadata.is_file() => found.push((path, metadata)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(found)
}
