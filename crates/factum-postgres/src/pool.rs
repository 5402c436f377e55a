//! Connections, lent to one user at a time.
//!
//! What must hold: a connection is lent again only by a user who was done with it. One that failed,
//! or whose user went away in the middle, is closed, as nobody knows where it stands. Nothing is
//! asked of a connection before it is lent, nor after: a statement is one round trip.

use crate::error::Class;
use factum_core::{AppendError, ReadError};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Why there is no connection. Nothing was begun.
#[derive(Debug)]
pub(crate) enum NoLease {
    Overloaded,
    Closed,
    Failed(sqlx::Error),
}

impl From<NoLease> for AppendError {
    fn from(none: NoLease) -> Self {
        match none {
            NoLease::Overloaded => Self::Overloaded,
            NoLease::Closed => Self::Unavailable { why: "the store is closed".into() },
            NoLease::Failed(error) => crate::error::unbegun(&error),
        }
    }
}

impl From<NoLease> for ReadError {
    fn from(none: NoLease) -> Self {
        match none {
            NoLease::Overloaded => Self::Overloaded,
            NoLease::Closed => crate::error::closed(),
            NoLease::Failed(error) => crate::error::unread(&error),
        }
    }
}

/// Connections for one purpose.
pub(crate) struct Pool {
    address: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
    seats: Arc<Semaphore>,
    patience: Duration,
    waiting: AtomicUsize,
    waiting_max: usize,
    overloaded: AtomicU64,
}

/// Passwords are in the address.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// So many connections, for which so many may wait, so long.
    pub(crate) fn new(
        address: PgConnectOptions,
        seats: usize,
        (waiting_max, patience): (usize, Duration),
    ) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            seats: Arc::new(Semaphore::new(seats)),
            patience,
            waiting: AtomicUsize::new(0),
            waiting_max,
            overloaded: AtomicU64::new(0),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, when one is free.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, NoLease> {
        let waits = Waits(self);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.overloaded.fetch_add(1, Ordering::Relaxed);
            return Err(NoLease::Overloaded);
        }
        let had = timeout(self.patience, self.seat()).await;
        drop(waits);
        had.unwrap_or(Err(NoLease::Failed(sqlx::Error::PoolTimedOut)))
    }

    async fn seat(self: &Arc<Self>) -> Result<Lease, NoLease> {
        let seat = self.seats.clone().acquire_owned().await.map_err(|_| NoLease::Closed)?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.address.connect().await.map_err(NoLease::Failed)?,
        };
        Ok(Lease { connection: Some(connection), pool: self.clone(), _seat: seat, is_done: false })
    }

    /// Lends nothing any more, and closes what is not lent.
    pub(crate) fn close(&self) {
        self.seats.close();
        self.idle().clear();
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
pub(crate) struct Lease {
    connection: Option<PgConnection>,
    pool: Arc<Pool>,
    _seat: OwnedSemaphorePermit,
    is_done: bool,
}

impl Lease {
    /// What came of it: whether the connection can be lent again. Where the server refused
    /// something it can; where it was lost, those that lie idle are most likely lost too.
    pub(crate) fn done<T>(mut self, outcome: &Result<T, sqlx::Error>) {
        let class = outcome.as_ref().err().map(Class::of);
        self.is_done = class != Some(Class::Lost);
        if !self.is_done {
            self.pool.idle().clear();
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("it is taken when the lease ends")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is taken when the lease ends")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.is_done)
            && !self.pool.seats.is_closed()
        {
            self.pool.idle().push(connection);
        }
    }
}
