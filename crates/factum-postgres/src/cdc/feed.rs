//! Changes as they come from a slot: whole transactions, in the order of their commits.
//!
//! What must hold: what is confirmed was handed out before, and what was handed out and not
//! confirmed comes again. Between transactions the server tells how far its log is read, and that
//! can be confirmed too, so that a slot whose tables are quiet keeps nothing.

use super::{
    CdcError,
    pgoutput::{Before, Message, Relation, Tuple, decode},
    table::TableName,
};
use factum_core::Timestamp;
use percent_encoding::percent_decode_str;
use pgwire_replication::{Lsn, ReplicationClient, ReplicationConfig, ReplicationEvent};
use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Changes that are read ahead, at most.
const AHEAD_MAX: usize = 1_024;
/// How long a confirmation may wait to be sent.
const CONFIRM_INTERVAL: Duration = Duration::from_millis(100);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The longest silence: the server speaks every 30 s, half its `wal_sender_timeout`, unless that is
/// set longer, and then the connection is taken for lost a little too early.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// As values are written: the same for whoever asks, whatever the database's settings.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("DateStyle", "ISO"),
    ("IntervalStyle", "iso_8601"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
];
/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Where the log is read from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) address: PgConnectOptions,
    pub(crate) slot: String,
    pub(crate) publication: String,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Item {
    /// A change, of a transaction that was committed.
    Change(Change),
    /// The end of a transaction: when all before it is done, this can be confirmed.
    Commit { end: Lsn },
    /// Nothing came up to here, since the last commit.
    Idle { at: Lsn },
}

/// A change of a row, or of a whole table.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Where its transaction was committed.
    pub(crate) commit: Lsn,
    /// When that was.
    pub(crate) committed_at: Timestamp,
    pub(crate) table: Arc<Relation>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "an outbox follows inserts; captures of any table need the rest")]
pub(crate) enum Kind {
    Insert { after: Tuple },
    Update { before: Before, after: Tuple },
    Delete { before: Before },
    Truncate,
}

/// A connection that reads a slot.
pub(crate) struct Feed {
    client: ReplicationClient,
    slot: String,
    relations: HashMap<u32, Arc<Relation>>,
    transaction: Option<Transaction>,
    /// What a message of several changes has left.
    queue: std::collections::VecDeque<Change>,
}

/// The one whose changes come.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    commit: Lsn,
    committed_at: Timestamp,
}

impl Source {
    /// Refuses an address whose connections are to be encrypted: those for replication are not.
    pub(crate) fn check(&self) -> Result<(), CdcError> {
        let mode = match self.address.get_ssl_mode() {
            _ if self.address.get_socket().is_some() => return Ok(()),
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => return Ok(()),
            PgSslMode::Require => "require",
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::VerifyFull => "verify-full",
        };
        Err(CdcError::Encrypted { mode: mode.to_owned() })
    }

    /// A connection for statements.
    pub(crate) async fn connect(&self) -> Result<PgConnection, CdcError> {
        let connected = tokio::time::timeout(CONNECT_LIMIT, self.address.connect()).await;
        Ok(connected
            .map_err(|_| CdcError::Away { why: "it does not answer within 30 s".into() })??)
    }

    /// What the library for the wire wants to know.
    fn config(&self) -> ReplicationConfig {
        let address = &self.address;
        let socket = address.get_socket().map(|path| path.to_string_lossy().into_owned());
        let host = socket.unwrap_or_else(|| address.get_host().to_owned());
        let user = address.get_username();
        let database = address.get_database().unwrap_or(user);
        let settings = SETTINGS.iter().map(|(name, value)| format!("-c {name}={value}"));
        let mut config = ReplicationConfig::new(
            host,
            user,
            password(address),
            database,
            &self.slot,
            self.publication.as_str(),
        );
        config.port = address.get_port();
        // From where this server was told, and not from what is known of the one before: after a
        // failover or a restore that would be in the future, and what is below be passed over.
        config.start_lsn = Lsn::ZERO;
        config.buffer_events = AHEAD_MAX;
        config.status_interval = CONFIRM_INTERVAL;
        config.options = Some(settings.collect::<Vec<_>>().join(" "));
        config.application_name = Some(format!("factum {}", self.slot));
        config
    }

    /// A session that has not begun to read yet.
    pub(crate) async fn session(&self) -> Result<Session, CdcError> {
        let client = ReplicationClient::connect_gated(self.config()).await;
        let client = client.map_err(|error| CdcError::of_wire(&error, &self.slot))?;
        Ok(Session { client, slot: self.slot.clone() })
    }

    /// Reads from where was confirmed.
    pub(crate) async fn open(&self) -> Result<Feed, CdcError> {
        self.session().await?.start().await
    }
}

/// The password of an address lies only in its URL, and is encoded there.
fn password(address: &PgConnectOptions) -> String {
    // Names that a URL cannot have are no part of it.
    let url = address.clone().username("user").host("localhost").database("database");
    let url = url.to_url_lossy();
    let password = url.password().unwrap_or_default();
    percent_decode_str(password).decode_utf8_lossy().into_owned()
}

/// A session before it reads.
pub(crate) struct Session {
    client: ReplicationClient,
    slot: String,
}

impl Session {
    /// Begins to read.
    pub(crate) async fn start(mut self) -> Result<Feed, CdcError> {
        let starting = async {
            self.client.start().await?;
            self.client.wait_started().await
        };
        let started = tokio::time::timeout(CONNECT_LIMIT, starting).await;
        let late = |_| CdcError::Away { why: "it does not answer within 30 s".to_owned() };
        started.map_err(late)?.map_err(|error| CdcError::of_wire(&error, &self.slot))?;
        Ok(Feed {
            client: self.client,
            slot: self.slot,
            relations: HashMap::new(),
            transaction: None,
            queue: std::collections::VecDeque::new(),
        })
    }
}

impl Feed {
    /// What comes next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Item, CdcError> {
        loop {
            if let Some(change) = self.queue.pop_front() {
                return Ok(Item::Change(change));
            }
            let received = tokio::time::timeout(SILENCE_MAX, self.client.recv()).await;
            let away = |why: &str| CdcError::Away { why: why.to_owned() };
            let received = received.map_err(|_| away("it has been silent for 120 s"))?;
            let received = received.map_err(|error| CdcError::of_wire(&error, &self.slot))?;
            let event = received.ok_or_else(|| away("the connection has ended"))?;
            if let Some(item) = self.understand(event)? {
                return Ok(item);
            }
        }
    }

    fn understand(&mut self, event: ReplicationEvent) -> Result<Option<Item>, CdcError> {
        match event {
            ReplicationEvent::Begin { final_lsn, commit_time_micros, .. } => {
                let micros = commit_time_micros.saturating_add(EPOCH_MICROS);
                let committed_at = Timestamp(micros.saturating_mul(1_000));
                let commit = final_lsn;
                self.transaction = Some(Transaction { commit, committed_at });
                Ok(None)
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                self.transaction = None;
                Ok(Some(Item::Commit { end: end_lsn }))
            }
            ReplicationEvent::KeepAlive { wal_end, .. } => {
                Ok(self.transaction.is_none().then_some(Item::Idle { at: wal_end }))
            }
            ReplicationEvent::XLogData { data, .. } => {
                self.change(decode(data)?)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn change(&mut self, message: Message) -> Result<(), CdcError> {
        match message {
            Message::Relation(relation) => {
                self.relations.insert(relation.oid, Arc::new(relation));
                Ok(())
            }
            Message::Insert { table, after } => self.push(table, Kind::Insert { after }),
            Message::Update { table, before, after } => {
                self.push(table, Kind::Update { before, after })
            }
            Message::Delete { table, before } => self.push(table, Kind::Delete { before }),
            Message::Truncate { tables } => {
                tables.into_iter().try_for_each(|table| self.push(table, Kind::Truncate))
            }
            Message::Other => Ok(()),
        }
    }

    fn push(&mut self, table: u32, kind: Kind) -> Result<(), CdcError> {
        let undecodable = |why: String| CdcError::Undecodable { why };
        let relation = self.relations.get(&table).cloned();
        let relation = relation
            .ok_or_else(|| undecodable(format!("of table {table} nothing was told before")))?;
        let transaction = self
            .transaction
            .ok_or_else(|| undecodable("a change stands outside of transactions".to_owned()))?;
        self.queue.push_back(Change {
            commit: transaction.commit,
            committed_at: transaction.committed_at,
            table: relation,
            kind,
        });
        Ok(())
    }

    /// All up to here is done: the server need not keep it. Sent within a moment.
    pub(crate) fn confirm(&self, lsn: Lsn) {
        self.client.update_applied_lsn(lsn);
    }

    /// Leaves the slot to others. What was confirmed last may be told again.
    pub(crate) async fn close(mut self) {
        let leaving = tokio::time::timeout(CONNECT_LIMIT, self.client.shutdown());
        // Where it does not answer, the connection is dropped, and it notices.
        let _ = leaving.await;
    }
}

impl Change {
    /// The table's name.
    pub(crate) fn table_name(&self) -> Result<TableName, CdcError> {
        TableName::new(&self.table.schema, &self.table.name)
    }
}
