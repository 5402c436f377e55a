//! Connections to the one place where the store is, lent to one user at a time.
//!
//! A store in memory is its one connection, which the writer and all readers share. A file has a
//! pool of one for the writer, and another for readers. What must hold: a connection that failed
//! is not lent again, as nobody knows in which transaction it stands.

use crate::{
    OpenError, Options,
    error::{closed, unread},
};
use factum_core::ReadError;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Rows that a connection reads ahead. What a batch holds is bounded in bytes by its query.
const ROWS_AHEAD_MAX: usize = 1024;
/// Statements that a connection keeps prepared.
const STATEMENTS_MAX: usize = 128;

/// Where a store is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory,
    File(PathBuf),
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// To write, and to make the file where it is missing.
    Create,
    Write,
    Read,
}

/// Opens a connection.
pub(crate) async fn connect(
    place: &Place,
    role: Role,
    options: &Options,
) -> Result<SqliteConnection, sqlx::Error> {
    let usual = SqliteConnectOptions::new()
        .busy_timeout(Duration::from_millis(options.busy_timeout_ms))
        .synchronous(SqliteSynchronous::Full)
        // Where a sync reaches the disk's cache only, as on macOS, one that reaches the disk.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .row_buffer_size(ROWS_AHEAD_MAX)
        .statement_cache_capacity(STATEMENTS_MAX)
        .thread_name(|number| format!("factum-sqlite-{number}"))
        .disable_statement_logging();
    let Place::File(path) = place else { return usual.connect().await };
    let of_file = usual.filename(path).create_if_missing(role == Role::Create);
    match role {
        Role::Read => of_file.pragma("query_only", "ON").connect().await,
        Role::Create | Role::Write => of_file.connect().await,
    }
}

/// Puts a file into the mode in which readers do not stop the writer.
pub(crate) async fn write_ahead(
    connection: &mut SqliteConnection,
    options: &Options,
) -> Result<(), OpenError> {
    // SQLite does not wait by itself for who else is changing the mode.
    let mut left_ms = options.busy_timeout_ms;
    loop {
        let asked = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL");
        match asked.fetch_one(&mut *connection).await {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(OpenError::NoWriteAheadLog { mode }),
            Err(error) if crate::error::Class::of(&error) != crate::error::Class::Busy => {
                return Err(error.into());
            }
            Err(_) if left_ms > 0 => left_ms = left_ms.saturating_sub(WAIT_MS),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(WAIT_MS)).await;
    }
}

/// Between two attempts to change the journal's mode.
const WAIT_MS: u64 = 10;

/// Connections for one purpose.
#[derive(Debug)]
pub(crate) struct Pool {
    place: Place,
    role: Role,
    options: Arc<Options>,
    idle: Mutex<Vec<SqliteConnection>>,
    seats: Arc<Semaphore>,
    waiting: AtomicUsize,
    overloaded: AtomicU64,
}

impl Pool {
    pub(crate) fn new(place: Place, role: Role, options: Arc<Options>) -> Self {
        let seats = match (role, &place) {
            (Role::Read, Place::File(_)) => options.read_connections_max,
            _ => 1,
        };
        Self {
            place,
            role,
            options,
            idle: Mutex::default(),
            seats: Arc::new(Semaphore::new(seats)),
            waiting: AtomicUsize::new(0),
            overloaded: AtomicU64::new(0),
        }
    }

    /// A pool that has this connection already.
    pub(crate) fn with(self, connection: SqliteConnection) -> Self {
        self.idle().push(connection);
        self
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, when one is free; refused where too many wait.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, ReadError> {
        let waits = Waits(self);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.options.read_jobs_max {
            self.overloaded.fetch_add(1, Ordering::Relaxed);
            return Err(ReadError::Overloaded);
        }
        let seat = self.seat().await?;
        drop(waits);
        self.sit(seat).await.map_err(|error| unread(&error))
    }

    /// A connection for the writer, which waits for nobody but one reader in memory.
    pub(crate) async fn lease_to_write(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        let seat = self.seat().await.map_err(|_| sqlx::Error::PoolClosed)?;
        self.sit(seat).await
    }

    async fn seat(&self) -> Result<OwnedSemaphorePermit, ReadError> {
        self.seats.clone().acquire_owned().await.map_err(|_| closed())
    }

    async fn sit(self: &Arc<Self>, seat: OwnedSemaphorePermit) -> Result<Lease, sqlx::Error> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None if matches!(self.place, Place::Memory) => return Err(sqlx::Error::PoolClosed),
            None => connect(&self.place, self.role, &self.options).await?,
        };
        Ok(Lease { connection: Some(connection), pool: self.clone(), _seat: seat })
    }

    /// Lends nothing any more, and closes what is not lent.
    pub(crate) async fn close(&self) {
        self.seats.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // Everything acknowledged is durable: what fails now is tidied at the next opening.
            let _ = connection.close().await;
        }
    }

    /// Users that wait for a connection.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed) as u64
    }

    /// Users that were refused because too many waited.
    pub(crate) fn overloaded(&self) -> u64 {
        self.overloaded.load(Ordering::Relaxed)
    }
}

/// One who waits, and goes on or goes away.
struct Waits<'a>(&'a Pool);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on loan.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Option<SqliteConnection>,
    pool: Arc<Pool>,
    // Given back after the connection is: fields are dropped after `drop` has run.
    _seat: OwnedSemaphorePermit,
}

const LENT: &str = "a lease has its connection until it is dropped";

impl Lease {
    /// It failed: nobody is lent it again. The one connection of a store in memory is kept, as it
    /// is the store.
    pub(crate) fn spoil(mut self) {
        if matches!(self.pool.place, Place::File(_)) {
            self.connection = None;
        }
    }
}

impl Deref for Lease {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect(LENT)
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect(LENT)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| !self.pool.seats.is_closed()) {
            self.pool.idle().push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What "acknowledged" rests on, asked of SQLite itself.
    #[test]
    fn a_commit_is_synced_and_readers_write_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::File(dir.path().join("events.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let options = Options::default();
        runtime.block_on(async {
            let mut writer = connect(&place, Role::Create, &options).await.unwrap();
            write_ahead(&mut writer, &options).await.unwrap();
            let mut reader = connect(&place, Role::Read, &options).await.unwrap();
            let asked = [
                ("PRAGMA synchronous", 2),
                ("PRAGMA fullfsync", 1),
                ("PRAGMA checkpoint_fullfsync", 1),
            ];
            for (pragma, value) in asked {
                let asking = sqlx::query_scalar::<_, i64>(pragma).fetch_one(&mut writer);
                assert_eq!(asking.await.unwrap(), value, "{pragma}");
            }
            let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode");
            assert_eq!(mode.fetch_one(&mut reader).await.unwrap(), "wal");
            let writing = sqlx::raw_sql("CREATE TABLE x (y)").execute(&mut reader).await;
            assert_eq!(
                crate::error::Class::of(&writing.unwrap_err()),
                crate::error::Class::ReadOnly
            );
        });
    }

    #[test]
    fn more_readers_than_may_wait_are_refused() {
        let options = Arc::new(Options { read_jobs_max: 1, ..Options::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let connection = connect(&Place::Memory, Role::Write, &options).await.unwrap();
            let pool = Arc::new(Pool::new(Place::Memory, Role::Write, options).with(connection));
            let lease = pool.lease().await.unwrap();
            let mut second = Box::pin(pool.lease());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert_eq!(pool.lease().await.err(), Some(ReadError::Overloaded));
            assert_eq!((pool.waiting(), pool.overloaded()), (1, 1));
            drop(lease);
            assert!(second.await.is_ok());
            assert_eq!(pool.waiting(), 0);
        });
    }
}
