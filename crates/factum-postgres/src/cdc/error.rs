//! What can go wrong with change data capture, and how to mend it.
//!
//! What must hold: what passes by itself is told apart from what somebody has to mend, and the
//! latter says how, in words that can be pasted into `psql`.

use crate::error::{Class, passes};
use factum_core::AppendError;
use pgwire_replication::PgWireError;

/// Why changes do not come, or do not get on.
#[derive(thiserror::Error, Debug, Clone)]
#[non_exhaustive]
pub enum CdcError {
    /// A name of a slot, a publication or a table is none. Choose another.
    #[error("{name:?} is no name of a {what}: {why}")]
    Name {
        /// Of what.
        what: &'static str,
        /// As given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server does not write what logical replication needs. Set it, and restart the server.
    #[error(
        "wal_level is `{found}`, and changes are only in the log with `logical`: \
         ALTER SYSTEM SET wal_level = 'logical', and restart the server"
    )]
    WalLevel {
        /// What it is.
        found: String,
    },
    /// The server is a read replica. Connect to the primary.
    #[error(
        "the server is a read replica, where changes cannot be decoded: connect to the primary"
    )]
    Replica,
    /// The user may not replicate. Give the right to it.
    #[error(
        "the user {user:?} may not replicate: ALTER ROLE \"{user}\" REPLICATION \
         (where the provider has a role for it, such as rds_replication, GRANT that)"
    )]
    NoReplicationRight {
        /// Who.
        user: String,
    },
    /// The user may not read or write what is needed. Give the right to it.
    #[error("PostgreSQL refuses: {why}; as its owner: {cure}")]
    NoRight {
        /// What it said.
        why: String,
        /// The statement that helps.
        cure: String,
    },
    /// The publication is not there, and was not to be made, or could not.
    #[error("there is no publication {name:?}; as the owner of the table: {cure}")]
    NoPublication {
        /// Which.
        name: String,
        /// The statement that makes it.
        cure: String,
    },
    /// The publication was made after the slot: what is between them cannot be decoded.
    #[error(
        "the slot {slot:?} begins before its publication was made: {cure}, and begin anew \
         (outbox: what is not published is found in the table)"
    )]
    PublicationTooNew {
        /// The slot.
        slot: String,
        /// The statement that removes it.
        cure: String,
    },
    /// The publication is there, and does not publish what is needed. Add it.
    #[error("the publication {name:?} does not publish {what}: {cure}")]
    PublicationLacks {
        /// Which.
        name: String,
        /// A table, or a kind of change.
        what: String,
        /// The statement that adds it.
        cure: String,
    },
    /// The slot is not there, and was not to be made. Make it.
    #[error("there is no replication slot {name:?}: {cure}")]
    NoSlot {
        /// Which.
        name: String,
        /// The statement that makes it.
        cure: String,
    },
    /// All slots of the server are taken. Allow more, or drop one that nobody uses.
    #[error(
        "all {max} replication slots of the server are taken: raise max_replication_slots and \
         restart it, or drop one that nobody uses (SELECT * FROM pg_replication_slots)"
    )]
    NoSlotFree {
        /// How many there may be.
        max: String,
    },
    /// The slot is another's: of another database, or of another plugin. Name another one.
    #[error("the replication slot {name:?} is of {whose}: choose another name")]
    SlotOfOthers {
        /// Which.
        name: String,
        /// Of what.
        whose: String,
    },
    /// Another process uses the slot. It is taken over when that one has ended.
    #[error("the replication slot {name:?} is in use by another process: {why}")]
    SlotInUse {
        /// Which.
        name: String,
        /// What the server said.
        why: String,
    },
    /// The slot is lost: the server has removed the log that it needed, as
    /// `max_slot_wal_keep_size` says. What happened between is not told any more.
    #[error(
        "the replication slot {name:?} is lost, as the server has removed the log behind it \
         ({why}): raise max_slot_wal_keep_size, then {cure}"
    )]
    SlotLost {
        /// Which.
        name: String,
        /// What is known.
        why: String,
        /// What to do.
        cure: String,
    },
    /// The slot keeps more of the log than is allowed, and the policy says to stop or to drop it.
    #[error(
        "the replication slot {name:?} keeps {retained_bytes} bytes of the log, and at most \
         {max_bytes} are allowed: {done}"
    )]
    OverLimit {
        /// Which.
        name: String,
        /// How much it keeps.
        retained_bytes: u64,
        /// The limit.
        max_bytes: u64,
        /// What was done, and what to do.
        done: &'static str,
    },
    /// The connection is to be encrypted, which the client for replication cannot.
    #[error(
        "sslmode={mode} asks for an encrypted connection, which replication does not have here: \
         connect over a socket, a tunnel, or a network of your own with sslmode=prefer or disable"
    )]
    Encrypted {
        /// As given.
        mode: String,
    },
    /// The table is not there.
    #[error("there is no table {name:?} in this database")]
    NoTable {
        /// Which.
        name: String,
    },
    /// A table has nothing that tells its rows apart. Give it a primary key.
    #[error(
        "the table {name:?} has no primary key, so that its rows cannot be told apart: ALTER TABLE \
         {name} ADD PRIMARY KEY (…), or REPLICA IDENTITY USING INDEX …"
    )]
    NoKey {
        /// Which.
        name: String,
    },
    /// The table has no columns of an outbox.
    #[error("the table {name:?} is no outbox: it has no column {column:?}")]
    NoOutbox {
        /// Which.
        name: String,
        /// The column.
        column: String,
    },
    /// The server says what is not understood: it is of a newer release, or the connection is not
    /// to PostgreSQL.
    #[error("a change cannot be understood: {why}")]
    Undecodable {
        /// What is wrong with it.
        why: String,
    },
    /// The store refuses what was captured.
    #[error("the store refuses a change of {stream}: {error}")]
    Store {
        /// The stream.
        stream: String,
        /// Why.
        error: AppendError,
    },
    /// A row cannot be an event: its key is longer than a name of a stream may be.
    #[error("a row of {table} cannot be an event: {why}")]
    Row {
        /// The table.
        table: String,
        /// Why.
        why: String,
    },
    /// The relay has ended in the middle: a publisher panicked, or the runtime was shut down.
    /// Look at what the panic said, mend that, and start it again: what was not confirmed comes
    /// again.
    #[error("the relay ended in the middle: its publisher panicked, or its runtime was shut down")]
    Ended,
    /// The server is away, or busy. It is tried again.
    #[error("PostgreSQL is away: {why}")]
    Away {
        /// What is known.
        why: String,
    },
    /// The server refuses. Look at what it said.
    #[error("PostgreSQL refuses: {why}")]
    Refused {
        /// What it said.
        why: String,
    },
}

impl CdcError {
    /// Whether it passes without anybody doing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Away { .. } | Self::SlotInUse { .. } => true,
            Self::Store { error, .. } => error.is_retryable(),
            _ => false,
        }
    }

    /// Whether the slot, if there is one, does not begin where what was done ends: whoever makes
    /// it anew, the rows before it are to be looked for in the table.
    pub(crate) fn is_of_slot_gone(&self) -> bool {
        use CdcError::{NoSlot, PublicationTooNew, SlotLost};
        matches!(self, NoSlot { .. } | SlotLost { .. } | PublicationTooNew { .. })
    }

    /// Whether it says that somebody uses a slot.
    pub(crate) fn is_in_use(error: &sqlx::Error) -> bool {
        let code = error.as_database_error().and_then(|error| error.code());
        code.as_deref() == Some("55006")
    }

    /// What an error on the replication connection of a slot means.
    pub(crate) fn of_wire(error: &PgWireError, slot: &str) -> Self {
        let why = error.to_string();
        let name = slot.to_owned();
        let has = |text: &str| why.contains(text);
        match error {
            PgWireError::Server(_) if has("SQLSTATE 55006") => Self::SlotInUse { name, why },
            PgWireError::Server(_)
                if has("can no longer get changes") || has("has already been removed") =>
            {
                Self::SlotLost { name, why, cure: drop_slot(slot) }
            }
            PgWireError::Server(_) if has("publication") && has("does not exist") => {
                Self::PublicationTooNew { slot: name, cure: drop_slot(slot) }
            }
            PgWireError::Server(_) if has("replication slot") && has("does not exist") => {
                Self::NoSlot { name, cure: create_slot(slot) }
            }
            // It shuts down, starts, has no room, gave way to another, or was stopped by the
            // system or its operator.
            PgWireError::Server(_)
                if ["57", "53", "40", "58"]
                    .iter()
                    .any(|class| has(&format!("SQLSTATE {class}"))) =>
            {
                Self::Away { why }
            }
            PgWireError::Server(_) | PgWireError::Auth(_) | PgWireError::Tls(_) => {
                Self::Refused { why }
            }
            PgWireError::MessageTooLarge { .. } => Self::Refused { why },
            _ => Self::Away { why },
        }
    }
}

impl From<sqlx::Error> for CdcError {
    fn from(error: sqlx::Error) -> Self {
        let why = error.to_string();
        // Who may not in, or to a database that is not there, waits in vain.
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        if code.starts_with("28") || code == "3D000" {
            return Self::Refused { why };
        }
        match Class::of(&error) {
            Class::Damaged | Class::Refused if !passes(&error) => Self::Refused { why },
            Class::ReadOnly => Self::Replica,
            _ => Self::Away { why },
        }
    }
}

/// For people: how a slot is dropped, and how made.
pub(crate) fn drop_slot(name: &str) -> String {
    format!("SELECT pg_drop_replication_slot('{name}')")
}

pub(crate) fn create_slot(name: &str) -> String {
    format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
}
