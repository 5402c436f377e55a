//! PostgreSQL, with logical decoding switched on: Debian's package, the newest that is there.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use crate::{Error, install, port::Port, room::Room, wait};

/// From starting to answering; after a crash it first replays its log.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Enough for every test of this project; `start_with` overrides them.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    // The paths of temporary folders can be longer than the name of a socket may be.
    ("unix_socket_directories", ""),
    ("wal_level", "logical"),
    ("max_replication_slots", "20"),
    ("max_wal_senders", "20"),
    ("max_prepared_transactions", "20"),
    ("max_connections", "200"),
    ("shared_buffers", "128MB"),
    ("logging_collector", "off"),
];

/// A PostgreSQL server with one database, `postgres`, whose superuser `postgres` needs no password.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    port: Port,
    room: Room,
}

impl Postgres {
    /// Starts an empty one.
    ///
    /// # Errors
    ///
    /// [`Error`]: it cannot be installed, or does not start; its last lines are in it.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(&[])
    }

    /// Starts an empty one with settings of `postgresql.conf` other than ours.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self, Error> {
        let server = install::apt("postgresql", find)?;
        let programs = server.parent().unwrap_or(Path::new("")).to_owned();
        wait::again(|| {
            let room = Room::owned("QUIT", "postgres")?;
            let mut postgres = Self { programs: programs.clone(), port: Port::take()?, room };
            postgres.create(settings)?;
            postgres.run()?;
            Ok(postgres)
        })
    }

    /// The one of this process, started by whoever asks first.
    ///
    /// # Errors
    ///
    /// Why it could not be started.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Postgres, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// How clients find it: `postgres://postgres@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.port.address())
    }

    /// The port of 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What these statements print, by `psql -At`.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with what the server said.
    pub fn psql(&self, statements: &str) -> Result<String, Error> {
        self.psql_at(&self.url(), statements)
    }

    /// The same in another database of it, by its URL.
    ///
    /// # Errors
    ///
    /// As [`psql`](Self::psql).
    pub fn psql_at(&self, url: &str, statements: &str) -> Result<String, Error> {
        let mut psql = self.room.command(&self.programs.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]);
        self.room.run(psql.args(["-c", statements]))
    }

    /// Ends it, and every backend, with `kill -9`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: a backend would not end.
    pub fn kill9(&mut self) -> Result<(), Error> {
        self.room.kill9("postgres")
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
        self.room.signal("postgres", "STOP")
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: signals cannot be sent.
    pub fn resume(&self) -> Result<(), Error> {
        self.room.signal("postgres", "CONT")
    }

    fn create(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let mut initdb = self.room.command(&self.programs.join("initdb"));
        initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        self.room.run(initdb.arg("--no-sync"))?;
        let setting = |(name, value): &(&str, &str)| format!("{name} = '{value}'\n");
        let text: String = SETTINGS.iter().chain(settings).map(setting).collect();
        self.room.write("data/postgresql.conf", &text)
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut server = self.room.command(&self.programs.join("postgres"));
        server.args(["-D", "data", "-p", &self.port().to_string()]);
        self.room.spawn("postgres", server)?;
        let ready = self.programs.join("pg_isready");
        let port = self.port().to_string();
        self.room.wait("postgres", START_LIMIT, |room| {
            let mut ready = room.command(&ready);
            room.run(ready.args(["-q", "-h", "127.0.0.1", "-p", &port])).is_ok()
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // One that was killed left a segment of shared memory, which only its next start removes.
        let _ = self.remove_shared_memory();
    }
}

impl Postgres {
    /// The eighth line of its `postmaster.pid` has the segment's key and id.
    fn remove_shared_memory(&self) -> Option<()> {
        let file = self.room.folder().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).ok()?;
        let process: u32 = text.lines().next()?.trim().parse().ok()?;
        if self.room.has(process) {
            return None;
        }
        let id = text.lines().nth(6)?.split_whitespace().nth(1)?;
        self.room.run(self.room.command(Path::new("ipcrm")).args(["-m", id])).ok().map(|_| ())
    }
}

/// The URL of the server that `FACTUM_POSTGRES_URL` names, otherwise of the shared one.
///
/// # Errors
///
/// Why it could not be started.
pub fn shared_url() -> Result<String, &'static Error> {
    match std::env::var("FACTUM_POSTGRES_URL") {
        Ok(url) => Ok(url),
        Err(_) => Postgres::shared().map(Postgres::url),
    }
}

/// Debian keeps PostgreSQL's server away from the path: the newest version.
fn find() -> Option<PathBuf> {
    let debian = install::newest_in(Path::new("/usr/lib/postgresql"));
    let mut programs = debian.map(|version| version.join("bin/postgres"));
    programs.find(|program| program.is_file()).or_else(|| install::on_path("postgres"))
}
