//! The rounds: one load on one store at a time, and the lines that it printed.

use std::{
    error::Error,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    install::Programs,
    machine,
    options::Options,
    peers::{PEERS, Peer, Server},
    plan::{LIMIT_KINDS, LIMITS, Store, WORKLOADS, Workload},
    results::Results,
};
use crate::workspace::{self, Workspace};

/// After this, one call of `loadgen` has failed.
const LOAD_TIME_MAX: Duration = Duration::from_secs(300);

/// After this, a server that was asked to stop is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// How often a child is looked at: seldom, as it is being measured.
const POLL: Duration = Duration::from_millis(20);

/// What was measured until the last whole round; `--page` takes it.
const SO_FAR: &str = "so-far.json";

/// Clients that fill a store, and events in each append (a stream of its own).
const FILLERS: &str = "32";
const FILL_EACH: &str = "10";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What measuring needs.
pub(super) struct Bench<'a> {
    options: &'a Options,
    workspace: &'a Workspace,
    peers: Vec<&'static Peer>,
    programs: Programs,
    loadgen: PathBuf,
    /// Where stores are.
    folder: PathBuf,
}

impl<'a> Bench<'a> {
    /// Installs and builds.
    pub(super) fn prepare(workspace: &'a Workspace, options: &'a Options) -> Outcome<Self> {
        let wanted =
            |name: &str, list: &[String]| list.is_empty() || list.iter().any(|x| x == name);
        let under_load = |peer: &Peer| {
            let mut loads = WORKLOADS.iter().filter(|load| wanted(load.name, &options.workloads));
            loads.any(|load| load.peers.contains(&peer.name))
        };
        let peers = PEERS.iter().filter(|peer| wanted(peer.name, &options.peers));
        let mut peers: Vec<&Peer> = peers.filter(|peer| under_load(peer)).collect();
        let mut programs = Programs::of(workspace, &peers)?;
        peers.retain(|peer| !programs.skipped.contains_key(peer.name));
        let loadgen = programs.build_loadgen(workspace, &peers)?;
        let folder = workspace.target.join("bench/data");
        // What an interrupted run left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        if options.nice != 0 {
            // All that is started from here on inherits it.
            let (nice, pid) = (options.nice.to_string(), std::process::id().to_string());
            workspace::capture(workspace::command("renice").args(["-n", &nice, "-p", &pid]))?;
        }
        Ok(Self { options, workspace, peers, programs, loadgen, folder })
    }

    /// Goes through all rounds.
    pub(super) fn measure(&self) -> Outcome<Results> {
        let skipped = self.programs.skipped.clone();
        let mut results = Results::new(machine::describe(self.workspace, &self.folder), skipped);
        results.settings = json!({
            "runs": self.options.runs, "secs": self.options.secs, "events": self.options.events,
            "nice": self.options.nice,
        });
        for store in [Store::Filled, Store::Large] {
            self.fill(store, &mut results)?;
        }
        for round in 1..=self.options.runs {
            results.add(Ok(vec![machine::load(round)]), (LIMITS, "load"));
            self.limits(round, &mut results);
            for load in WORKLOADS.iter().filter(|load| self.is_wanted(load.name)) {
                for peer in self.peers_of(load) {
                    println!("round {round}: {}: {}", load.name, peer.name);
                    let lines = self.load(load, peer, round);
                    results.add(lines, (load.name, peer.name));
                }
            }
            // Half an hour is not to be lost to what happens in the last round.
            results.write(&self.folder.with_file_name(SO_FAR))?;
        }
        fs::remove_dir_all(&self.folder)?;
        Ok(results)
    }

    fn is_wanted(&self, load: &str) -> bool {
        let large = self.options.large > 0 || load != "open-large";
        let chosen = &self.options.workloads;
        large && (chosen.is_empty() || chosen.iter().any(|name| name == load))
    }

    fn peers_of(&self, load: &Workload) -> Vec<&'static Peer> {
        let under = |peer: &&&'static Peer| load.peers.contains(&peer.name);
        self.peers.iter().filter(under).copied().collect()
    }

    fn limits(&self, round: u64, results: &mut Results) {
        if !self.is_wanted(LIMITS) {
            return;
        }
        for kind in LIMIT_KINDS {
            println!("round {round}: {LIMITS}: {kind}");
            let mut limit = workspace::command(&self.loadgen);
            limit.args(["limit", kind, "--run", &round.to_string()]);
            limit.args(["--secs", &self.options.secs.to_string(), "--dir"]).arg(&self.folder);
            results.add(lines_of(&mut limit, &self.folder), (LIMITS, kind));
        }
    }

    /// Fills the stores that loads of this run find full, each once for all its peers.
    fn fill(&self, store: Store, results: &mut Results) -> Outcome<()> {
        let mut done = Vec::new();
        for load in WORKLOADS.iter().filter(|load| load.store == store && self.is_wanted(load.name))
        {
            for peer in self.peers_of(load) {
                let is_echo = peer.server == Some(Server::Echo);
                if is_echo || done.contains(&peer.store()) {
                    continue;
                }
                println!("filling: {}", peer.store());
                done.push(peer.store());
                let lines = self.fill_one(store, peer);
                results.add(lines, ("fill", peer.name));
            }
        }
        Ok(())
    }

    fn fill_one(&self, store: Store, peer: &Peer) -> Outcome<Vec<Value>> {
        let folder = self.folder_of(store, peer)?;
        let events = self.events(store).to_string();
        let server = self.start(peer, &folder)?;
        let mut fill = self.loadgen("fill", peer, &folder);
        fill.args(["--clients", FILLERS, "--each", FILL_EACH, "--events", &events]);
        let filled = lines_of(&mut fill, &self.folder);
        stop(server)?;
        let mut lines = filled?;
        let mut disk = self.loadgen("disk", peer, &folder);
        disk.args(["--events", &events, "--dir"]).arg(&folder);
        lines.extend(lines_of(&mut disk, &self.folder)?);
        Ok(lines)
    }

    fn events(&self, store: Store) -> u64 {
        if store == Store::Large { self.options.large } else { self.options.events }
    }

    /// One load on one store.
    fn load(&self, load: &Workload, peer: &Peer, round: u64) -> Outcome<Vec<Value>> {
        let folder = self.folder_of(load.store, peer)?;
        let Some((command, arguments)) = load.command.split_first() else {
            return Err("a load is a subcommand".into());
        };
        let mut loadgen = self.loadgen(command, peer, &folder);
        loadgen.args(arguments).args(["--run", &round.to_string()]);
        if load.is_timed() {
            loadgen.args(["--secs", &self.options.secs.to_string()]);
        } else {
            loadgen.args(["--events", &self.events(load.store).to_string()]);
        }
        let lines = if load.starts_server() {
            loadgen.arg("--evict").arg(&folder);
            if let Some(server) = peer.server {
                let served = server.command(&self.programs, &folder);
                loadgen.arg("--").arg(served.get_program()).args(served.get_args());
            }
            lines_of(&mut loadgen, &self.folder)
        } else {
            let server = self.start(peer, &folder)?;
            let lines = lines_of(&mut loadgen, &self.folder);
            stop(server)?;
            lines
        };
        if load.store == Store::Empty {
            fs::remove_dir_all(&folder)?;
        }
        lines
    }

    fn loadgen(&self, command: &str, peer: &Peer, folder: &Path) -> Command {
        let mut loadgen = workspace::command(&self.loadgen);
        loadgen.env("RUST_BACKTRACE", "0");
        loadgen.args([command, "--peer", peer.driver, "--label", peer.name]);
        loadgen.args(["--at", &peer.at(&folder.join("data"))]);
        loadgen
    }

    /// The folder of a store; made, if it is not there.
    fn folder_of(&self, store: Store, peer: &Peer) -> Outcome<PathBuf> {
        let kind = match store {
            Store::Empty => "empty",
            Store::Filled => "filled",
            Store::Large => "large",
        };
        let folder = self.folder.join(kind).join(peer.store());
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            if let Some(server) = peer.server {
                server.prepare(&self.programs, &folder)?;
            }
        }
        Ok(folder)
    }

    /// Starts the server of a peer, if it has one. `loadgen` waits until it answers.
    fn start(&self, peer: &Peer, folder: &Path) -> Outcome<Option<(Server, Child)>> {
        let Some(server) = peer.server else { return Ok(None) };
        let log = File::create(self.folder.join(format!("{}.log", server.name())))?;
        let mut command = server.command(&self.programs, folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{}: {error}", server.name()))?;
        Ok(Some((server, child)))
    }
}

/// Asks a server to end, and waits for that.
fn stop(server: Option<(Server, Child)>) -> Outcome<()> {
    let Some((server, mut child)) = server else { return Ok(()) };
    let mut kill = workspace::command("kill");
    kill.arg(format!("-{}", server.stop_signal())).arg(child.id().to_string());
    let asked = workspace::capture(&mut kill);
    if asked.is_err() || !ends(&mut child, STOP_TIME_MAX)? {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// Whether a child ends in time.
fn ends(child: &mut Child, limit: Duration) -> Outcome<bool> {
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > limit {
            return Ok(false);
        }
        thread::sleep(POLL);
    }
    Ok(true)
}

/// Runs `loadgen` and reads what it printed; its last complaint is the error.
fn lines_of(loadgen: &mut Command, folder: &Path) -> Outcome<Vec<Value>> {
    let (out, complaints) = (folder.join("loadgen.out"), folder.join("loadgen.err"));
    loadgen.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&complaints)?);
    let mut child = loadgen.spawn()?;
    if !ends(&mut child, LOAD_TIME_MAX)? {
        child.kill()?;
        child.wait()?;
        return Err(format!("not done after {} s", LOAD_TIME_MAX.as_secs()).into());
    }
    if !child.wait()?.success() {
        let complaint = fs::read_to_string(&complaints)?;
        return Err(complaint.trim().lines().collect::<Vec<_>>().join("; ").into());
    }
    let lines = fs::read_to_string(&out)?;
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
