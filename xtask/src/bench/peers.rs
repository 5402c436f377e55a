//! The event stores: how each is started with durable settings, and where it then is.
//!
//! A *peer* is a store as one of its clients sees it, and a *server* the program behind it: three
//! clients speak to Factum's. Ports are below the range that the system hands out by itself.

use std::{error::Error, fs, path::Path, process::Command};

use super::install::Programs;
use crate::workspace;

/// A store as one client sees it.
pub(super) struct Peer {
    /// Its name in lines and options.
    pub(super) name: &'static str,
    /// Its name in tables.
    pub(super) title: &'static str,
    /// The module of `loadgen` that drives it, which is a feature of that name...
    pub(super) driver: &'static str,
    /// ... but where a feature has several.
    pub(super) feature: &'static str,
    pub(super) server: Option<Server>,
}

/// The program behind a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(super) enum Server {
    Factum,
    UmaDb,
    Tephra,
    Postgres,
    Nats,
    Redis,
    /// gRPC with nothing behind it.
    Echo,
    /// gRPC with the least log that is durable.
    EchoLog,
}

const fn server(
    name: &'static str,
    title: &'static str,
    driver: &'static str,
    server: Server,
) -> Peer {
    Peer { name, title, driver, feature: driver, server: Some(server) }
}

const fn library(name: &'static str, title: &'static str) -> Peer {
    Peer { name, title, driver: name, feature: name, server: None }
}

/// All of them.
pub(super) const PEERS: &[Peer] = &[
    library("factum-embedded", "Factum"),
    library("fjall", "fjall"),
    library("redb", "redb"),
    library("tephra-embedded", "Tephra"),
    server("factum-v1", "Factum (its client)", "factum-v1", Server::Factum),
    Peer {
        feature: "factum-v1",
        ..server("factum-v1-unary", "Factum (unary call)", "factum-v1-unary", Server::Factum)
    },
    server("factum-kurrent", "Factum (KurrentDB's client)", "factum-kurrent", Server::Factum),
    server("factum-dcb", "Factum (UmaDB's client)", "umadb", Server::Factum),
    server("umadb", "UmaDB", "umadb", Server::UmaDb),
    server("tephra", "Tephra", "tephra", Server::Tephra),
    server("postgres", "PostgreSQL", "postgres", Server::Postgres),
    server("nats", "NATS", "nats", Server::Nats),
    server("redis", "Redis", "redis", Server::Redis),
    server("echo", "gRPC echo", "echo", Server::Echo),
    server("echo-log", "gRPC echo, least log", "echo", Server::EchoLog),
];

/// The peer of this name.
pub(super) fn peer(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

/// Their names.
pub(super) fn names() -> Vec<&'static str> {
    PEERS.iter().map(|peer| peer.name).collect()
}

impl Peer {
    /// The name of the folder of its data: peers with the same server share one.
    pub(super) fn store(&self) -> &'static str {
        self.server.map_or(self.name, Server::name)
    }

    /// What `loadgen` is told: an address, or a folder.
    pub(super) fn at(&self, folder: &Path) -> String {
        match self.server {
            Some(server) => server.address(),
            None => folder.to_string_lossy().into_owned(),
        }
    }
}

impl Server {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Factum => "factum",
            Self::UmaDb => "umadb",
            Self::Tephra => "tephra",
            Self::Postgres => "postgres",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Echo => "echo",
            Self::EchoLog => "echo-log",
        }
    }

    fn port(self) -> u16 {
        27_100 + self as u16
    }

    pub(super) fn address(self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The signal that asks it to end in an orderly way.
    pub(super) fn stop_signal(self) -> &'static str {
        match self {
            Self::Postgres => "INT",
            _ => "TERM",
        }
    }

    /// Makes what it needs in an empty folder.
    pub(super) fn prepare(self, programs: &Programs, folder: &Path) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Nats => {
                let data = folder.join("data").display().to_string();
                let listen = format!("listen: \"{}\"\n", self.address());
                let store = format!("store_dir: \"{data}\", sync_interval: always");
                let config = format!("{listen}jetstream {{ {store} }}\n");
                fs::write(folder.join("nats.conf"), config)?;
            }
            Self::Postgres => init_postgres(programs, folder)?,
            _ => {}
        }
        Ok(())
    }

    /// The command that serves a folder.
    pub(super) fn command(self, programs: &Programs, folder: &Path) -> Command {
        let program = programs.program(self).unwrap_or_default();
        if self == Self::Postgres {
            return postgres(&program, folder);
        }
        let mut command = workspace::command(program);
        let address = self.address();
        let (port, data) = (self.port().to_string(), folder.join("data"));
        match self {
            Self::Factum => command.args(["dev", "--listen", &address, "--data"]).arg(data),
            Self::UmaDb => command.args(["--listen", &address, "--db-path"]).arg(data),
            Self::Tephra => command.args(["-b", &address, "-d"]).arg(data),
            Self::Nats => command.arg("-c").arg(folder.join("nats.conf")),
            Self::Redis => {
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", "always"]);
                command.arg("--dir").arg(folder)
            }
            Self::Echo | Self::Postgres => command.args(["echo", "--listen", &address]),
            Self::EchoLog => command.args(["echo", "--listen", &address, "--log"]).arg(data),
        };
        command
    }
}

/// The user that PostgreSQL runs as, where we are root: it refuses to be.
const POSTGRES_USER: &str = "postgres";

/// PostgreSQL's settings beyond its own: room for the clients and for the data, and what is
/// durable said aloud.
const POSTGRES_SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "max_connections=320",
    "shared_buffers=2GB",
    "max_wal_size=8GB",
    "fsync=on",
    "synchronous_commit=on",
];

fn postgres(program: &Path, folder: &Path) -> Command {
    let mut command = as_postgres(program);
    command.arg("-D").arg(folder.join("data")).args(["-p", &Server::Postgres.port().to_string()]);
    let sockets = format!("unix_socket_directories={}", folder.display());
    for setting in POSTGRES_SETTINGS.iter().copied().chain([sockets.as_str()]) {
        command.args(["-c", setting]);
    }
    command
}

fn init_postgres(programs: &Programs, folder: &Path) -> Result<(), Box<dyn Error>> {
    if is_root() {
        workspace::capture(workspace::command("chown").arg(POSTGRES_USER).arg(folder))?;
    }
    let program = programs.program(Server::Postgres).unwrap_or_default();
    let mut init = as_postgres(&program.with_file_name("initdb"));
    init.arg("-D").arg(folder.join("data")).args(["-A", "trust", "-U", POSTGRES_USER]);
    init.args(["--no-locale", "-E", "UTF8", "--no-sync"]);
    workspace::capture(&mut init).map(drop)
}

fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return workspace::command(program);
    }
    let mut command = workspace::command("setpriv");
    let user = [format!("--reuid={POSTGRES_USER}"), format!("--regid={POSTGRES_USER}")];
    command.args(user).arg("--clear-groups").arg(program);
    command
}

pub(super) fn is_root() -> bool {
    workspace::capture(workspace::command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports_are_told_apart() {
        let mut all = names();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), PEERS.len());
        let mut servers: Vec<Server> = PEERS.iter().filter_map(|peer| peer.server).collect();
        servers.sort_unstable();
        servers.dedup();
        let ports: Vec<u16> = servers.iter().map(|server| server.port()).collect();
        assert_eq!(ports, (27_100..27_108).collect::<Vec<u16>>());
    }
}
