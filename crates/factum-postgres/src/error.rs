//! What can go wrong with PostgreSQL, and what it means to an append and to a read.
//!
//! What must hold: an append is only said not to be written where that is certain.

use factum_core::{AppendError, ReadError};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why no store was opened. Nothing was changed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not understood. Correct it.
    #[error("`{url}` is no address of PostgreSQL: {why}; write postgres://user@host:5432/database")]
    Url {
        /// As given, without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server is a read replica, or still recovers. Connect to the primary.
    #[error(
        "the server is a read replica, which takes no appends and cannot tell what is settled: \
         connect to the primary (in a URL of several hosts, to the one that takes writes)"
    )]
    Replica,
    /// The server is too old. Update it.
    #[error("the server is PostgreSQL {found}, and at least {known} is needed: update it")]
    OldServer {
        /// Its major version.
        found: i64,
        /// The oldest one that will do.
        known: i64,
    },
    /// The server would acknowledge what it can still lose. Switch it on.
    #[error(
        "`{setting}` is off: what is acknowledged could be lost in a crash; switch it on for this \
         database or user (`ALTER ROLE … SET {setting} = on`, or in postgresql.conf)"
    )]
    NotDurable {
        /// The setting.
        setting: &'static str,
    },
    /// The database keeps text in another encoding than names have. Make one in UTF-8.
    #[error("the database has the encoding {found}: create one with ENCODING 'UTF8'")]
    Encoding {
        /// The database's.
        found: String,
    },
    /// A newer release wrote the tables. Use that one, or a newer one.
    #[error("the tables have format {found}, and this release knows {known}: use a newer release")]
    NewerFormat {
        /// The tables'.
        found: i32,
        /// The newest one known here.
        known: i32,
    },
    /// PostgreSQL refuses, or cannot be reached.
    #[error("PostgreSQL: {0}; look at the address, the user's rights, and whether it runs")]
    Postgres(#[from] sqlx::Error),
}

/// What kind of failure it is: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// The connection is lost: whatever it was doing may have been done.
    Lost,
    /// No connection was to be had: nothing was begun.
    NoConnection,
    /// A lock was not to be had in time.
    LockTimeout,
    /// Appends waited for each other, and this one was chosen to give way.
    Deadlock,
    /// It takes no writes: it became a replica, or was told so.
    ReadOnly,
    /// No room: disk, memory, locks.
    NoRoom,
    /// What is stored cannot be read.
    Damaged,
    /// Another refusal: the statement did nothing.
    Refused,
}

impl Class {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else {
                    return Self::Refused;
                };
                // Whoever is thrown out does not know what became of the last statement.
                match error.severity() {
                    PgSeverity::Fatal | PgSeverity::Panic => Self::Lost,
                    _ => Self::of_code(error.code()),
                }
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::NoConnection,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Damaged,
            sqlx::Error::Encode(_) | sqlx::Error::Configuration(_) => Self::Refused,
            _ => Self::Lost,
        }
    }

    fn of_code(code: &str) -> Self {
        match code {
            "55P03" => Self::LockTimeout,
            "40P01" => Self::Deadlock,
            "25006" | "FA001" => Self::ReadOnly,
            _ => match code.get(..2) {
                Some("53") => Self::NoRoom,
                Some("08") => Self::Lost,
                Some("XX") => Self::Damaged,
                _ => Self::Refused,
            },
        }
    }
}

/// Whether a refusal passes by itself: the transaction gave way to another (40), an operator or the
/// system stopped it (57, 58), or it was to go on in one that had failed (25P02).
#[cfg(feature = "app")]
pub(crate) fn passes(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    code == "25P02" || ["40", "57", "58"].iter().any(|class| code.starts_with(class))
}

/// Why an append failed, whose statements were running when this happened.
pub(crate) fn unappended(error: &sqlx::Error) -> AppendError {
    match Class::of(error) {
        Class::Lost => AppendError::Unknown { why: said("the connection was lost", error) },
        Class::ReadOnly => {
            let why = format!("{error}; connect to the primary, or make it take writes");
            AppendError::ReadOnly { why: why.into() }
        }
        _ => unbegun(error),
    }
}

/// Why an append failed in which nothing was written.
pub(crate) fn unbegun(error: &sqlx::Error) -> AppendError {
    match Class::of(error) {
        Class::LockTimeout => unavailable("others that it conflicts with took too long", error),
        Class::Deadlock => unavailable("it and another one waited for each other", error),
        Class::NoRoom => unavailable("the server has no room left", error),
        Class::NoConnection => unavailable("no connection was free in time", error),
        _ => unavailable("PostgreSQL refuses", error),
    }
}

fn said(what: &str, error: &sqlx::Error) -> std::borrow::Cow<'static, str> {
    format!("{what}: {error}").into()
}

fn unavailable(what: &str, error: &sqlx::Error) -> AppendError {
    AppendError::Unavailable { why: said(what, error) }
}

/// Why a read failed.
pub(crate) fn unread(error: &sqlx::Error) -> ReadError {
    match Class::of(error) {
        Class::Damaged => ReadError::Damaged { what: error.to_string().into() },
        Class::LockTimeout => {
            let what = "appends that write what a current read asks for took too long";
            ReadError::Unavailable { why: said(what, error) }
        }
        _ => ReadError::Unavailable { why: said("PostgreSQL", error) },
    }
}

/// The store is closed.
pub(crate) fn closed() -> ReadError {
    ReadError::Unavailable { why: "the store is closed: open it again".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_certain_is_said_to_be_unknown() {
        let lost = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(unappended(&lost), AppendError::Unknown { .. }));
        let none = sqlx::Error::PoolTimedOut;
        assert!(matches!(unappended(&none), AppendError::Unavailable { .. }));
        for (code, class) in [
            ("08006", Class::Lost),
            ("55P03", Class::LockTimeout),
            ("25006", Class::ReadOnly),
            ("53200", Class::NoRoom),
            ("XX001", Class::Damaged),
            ("42P01", Class::Refused),
        ] {
            assert_eq!(Class::of_code(code), class, "{code}");
        }
    }
}
