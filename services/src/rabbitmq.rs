//! RabbitMQ: Debian's package, without its service, its user's folders or a daemon of Erlang.
//!
//! The wrappers on the path insist on the system's folders, so the scripts beneath them are run.
//! Erlang's port mapper would be started as a daemon that outlives everybody; ours is a process of
//! the room, on a port of its own, started before the server looks for one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use crate::{Error, install, port::Port, room::Room, wait};

/// From starting to answering: a virtual machine, its database, its queues.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A server that accepts a connection and says nothing is not ready.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Neither a small machine nor a full disk of somebody else's is to stop publishers; tests that
/// want that set it.
const SETTINGS: &str = "\
log.file.level = info
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
";

/// Two schedulers, which do not spin while they wait; distribution on loopback only.
const ERLANG: &str =
    "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none";

/// A RabbitMQ node with one virtual host, `/`, and the user `guest`, password `guest`.
#[derive(Debug)]
pub struct RabbitMq {
    programs: PathBuf,
    port: Port,
    distribution: Port,
    mapper: Port,
    room: Room,
}

impl RabbitMq {
    /// Starts an empty one, without plugins.
    ///
    /// # Errors
    ///
    /// [`Error`]: it cannot be installed, or does not start; its last lines are in it.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(&[], "")
    }

    /// Starts an empty one with these plugins, and more lines of `rabbitmq.conf`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(plugins: &[&str], settings: &str) -> Result<Self, Error> {
        let server = install::apt("rabbitmq-server", find)?;
        let programs = server.parent().unwrap_or(Path::new("")).to_owned();
        wait::again(|| {
            let mut rabbit = Self {
                programs: programs.clone(),
                port: Port::take()?,
                distribution: Port::take()?,
                mapper: Port::take()?,
                room: Room::owned("KILL", "rabbitmq")?,
            };
            rabbit.room.write("env.conf", "")?;
            rabbit.room.write("enabled_plugins", &format!("[{}].\n", plugins.join(",")))?;
            let listener = format!("listeners.tcp.1 = {}\n", rabbit.port.address());
            rabbit.room.write("rabbitmq.conf", &format!("{listener}{SETTINGS}{settings}"))?;
            rabbit.run()?;
            Ok(rabbit)
        })
    }

    /// The one of this process, started by whoever asks first.
    ///
    /// # Errors
    ///
    /// Why it could not be started.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<RabbitMq, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// How clients find it: `amqp://guest:guest@127.0.0.1:PORT/%2f`.
    pub fn url(&self) -> String {
        self.url_of("guest", "guest")
    }

    /// The same for another user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@{}/%2f", self.port.address())
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What `rabbitmqctl` with these arguments prints; it takes about a second.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with what it said.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut ctl = self.command(&self.programs.join("rabbitmqctl"));
        self.room.run(ctl.arg("-q").args(arguments))
    }

    /// Puts on disk what was declared. RabbitMQ 3 keeps the names of quorum queues in memory for
    /// three seconds; killed before that, it has lost the queue, and what was confirmed in it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with what it said.
    pub fn sync(&self) -> Result<(), Error> {
        let sync = "[ok = dets:sync(Table) || Table <- dets:all()], mnesia:sync_log().";
        self.ctl(&["eval", sync]).map(drop)
    }

    /// Ends it with `kill -9`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: a process of it would not end.
    pub fn kill9(&mut self) -> Result<(), Error> {
        self.room.kill9("rabbitmq")
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

    /// Holds every process of it where it is: connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: signals cannot be sent.
    pub fn pause(&self) -> Result<(), Error> {
        self.room.signal("rabbitmq", "STOP")
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: signals cannot be sent.
    pub fn resume(&self) -> Result<(), Error> {
        self.room.signal("rabbitmq", "CONT")
    }

    fn run(&mut self) -> Result<(), Error> {
        if !self.room.is_running("epmd") {
            let mut mapper = self.room.command(Path::new("epmd"));
            mapper.args(["-address", "127.0.0.1", "-port", &self.mapper.number().to_string()]);
            self.room.spawn("epmd", mapper)?;
            let address = self.mapper.address();
            let limit = Duration::from_secs(10);
            self.room.wait("epmd", limit, |_| TcpStream::connect(address).is_ok())?;
        }
        let server = self.command(&self.programs.join("rabbitmq-server"));
        self.room.spawn("rabbitmq", server)?;
        let address = self.port.address();
        let log = self.room.folder().join(format!("log/{}.log", self.node_name()));
        let ready = |_: &Room| answers(address) && has_leaders(&log);
        self.room.wait("rabbitmq", START_LIMIT, ready)
    }

    fn node_name(&self) -> String {
        format!("factum{}@localhost", self.port())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = self.room.command(program);
        let folder = self.room.folder();
        for (name, path) in [
            ("RABBITMQ_HOME", ""),
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            command.env(name, folder.join(path));
        }
        command
            .env("RABBITMQ_NODENAME", self.node_name())
            .env("RABBITMQ_DIST_PORT", self.distribution.number().to_string())
            .env("ERL_EPMD_PORT", self.mapper.number().to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG)
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

/// The URL of the server that `FACTUM_RABBITMQ_URL` names, otherwise of the shared one.
///
/// # Errors
///
/// Why it could not be started.
pub fn shared_url() -> Result<String, &'static Error> {
    match std::env::var("FACTUM_RABBITMQ_URL") {
        Ok(url) => Ok(url),
        Err(_) => RabbitMq::shared().map(RabbitMq::url),
    }
}

/// It answers the header of the protocol with a method (`connection.start`), as it does at the end
/// of its start.
fn answers(address: SocketAddr) -> bool {
    let greet = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0];
        stream.read_exact(&mut frame)?;
        std::io::Result::Ok(frame == [1])
    };
    greet().unwrap_or(false)
}

/// Each quorum queue that was there before has elected its leader, by the log; what is asked
/// of it before that would wait.
fn has_leaders(log: &Path) -> bool {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let Some((_, since)) = text.rsplit_once("Starting RabbitMQ") else { return false };
    let recovered = since.lines().find_map(|line| {
        let (_, rest) = line.split_once("Recovering ")?;
        rest.strip_suffix("ms").filter(|rest| rest.contains("rabbit_quorum_queue"))
    });
    let count = recovered.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    let elected = since.matches("-> leader in term").count();
    count.is_some_and(|count| elected >= count)
}

/// The script below the wrapper, of the newest version.
fn find() -> Option<PathBuf> {
    let debian = install::newest_in(Path::new("/usr/lib/rabbitmq/lib"));
    let mut programs = debian.map(|version| version.join("sbin/rabbitmq-server"));
    programs.find(|program| program.is_file())
}
