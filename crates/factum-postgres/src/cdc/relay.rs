//! The relay from an outbox to a broker by change data capture: it is told of new rows by the
//! server's log, in the order of their commits, and asks the table for nothing.
//!
//! What must hold:
//! - the log is confirmed only when every row before is published, or noted in the table as one
//!   that waits: one that failed for good, and what is behind it with its key;
//! - rows with one key are published in the order of their commits;
//! - a row that was there before the slot was made is published from the table.

mod options;
mod publish;
mod rows;
mod run;
mod status;
mod watch;

pub use options::CdcRelayOptions;
pub use status::{CdcRelayStatus, CdcState};

use super::{
    CdcError, TableName,
    feed::Source,
    halt::{self, Halt, Halting},
    setup::{Kinds, Plan},
};
use factum_app::message::Publisher;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use std::sync::Arc;
use tokio::sync::watch as status_channel;

/// A relay from an outbox to a broker by change data capture.
///
/// One at a time reads a slot: further ones stand by, and take over when it ends.
///
/// ```no_run
/// # async fn run(broker: impl factum_app::message::Publisher)
/// # -> Result<(), factum_postgres::cdc::CdcError> {
/// use factum_postgres::cdc::{CdcRelay, CdcRelayOptions};
/// use std::sync::Arc;
/// let options = CdcRelayOptions::default();
/// let relay = CdcRelay::new("postgres://app@host/shop", Arc::new(broker), options)?;
/// let relay = relay.start();
/// println!("{:?}", relay.status());
/// relay.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CdcRelay {
    source: Source,
    table: TableName,
    publisher: Arc<dyn Publisher>,
    options: CdcRelayOptions,
}

/// A relay that runs. Dropped, it ends after what it is doing.
#[derive(Debug)]
pub struct CdcRelayHandle {
    halting: Arc<Halting>,
    status: status_channel::Receiver<CdcRelayStatus>,
}

/// The side that tells of a relay. Where its task ends in the middle it says so, as nobody else
/// will.
#[derive(Debug)]
struct Telling(status_channel::Sender<CdcRelayStatus>);

impl std::ops::Deref for Telling {
    type Target = status_channel::Sender<CdcRelayStatus>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.send_if_modified(|status| {
            let is_over = matches!(status.state, CdcState::Stopped { .. });
            if !is_over {
                status.state = CdcState::Stopped { why: Some(CdcError::Ended) };
            }
            !is_over
        });
    }
}

impl CdcRelay {
    /// One for the outbox in the database of a URL: `postgres://user@host/database`. Its user needs
    /// the right to replicate.
    ///
    /// # Errors
    ///
    /// [`CdcError::Name`] or [`CdcError::Refused`]: a name, or the URL, is none.
    pub fn new(
        url: &str,
        publisher: Arc<dyn Publisher>,
        options: CdcRelayOptions,
    ) -> Result<Self, CdcError> {
        let refused = |error: crate::OpenError| CdcError::Refused { why: error.to_string() };
        let (address, of_store) = crate::server::address(url).map_err(refused)?;
        Self::at(crate::server::fitted(address, &of_store), publisher, options)
    }

    /// One for the outbox in the database of an address.
    ///
    /// # Errors
    ///
    /// [`CdcError::Name`]: the schema is none.
    pub fn at(
        address: PgConnectOptions,
        publisher: Arc<dyn Publisher>,
        options: CdcRelayOptions,
    ) -> Result<Self, CdcError> {
        let table = TableName::new(&options.schema, "factum_outbox")?;
        let address = address.disable_statement_logging();
        let (slot, publication) = (options.slot.clone(), options.publication.clone());
        Ok(Self { source: Source { address, slot, publication }, table, publisher, options })
    }

    /// Runs it beside everything else, until the handle is dropped or told to stop.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    #[must_use = "a relay ends when its handle is dropped"]
    pub fn start(self) -> CdcRelayHandle {
        let (halting, halted) = halt::channel();
        let halting = Arc::new(halting);
        let (told, status) = status_channel::channel(CdcRelayStatus::default());
        let told = Arc::new(Telling(told));
        let watching = watch::watch(self.clone(), told.clone(), Arc::downgrade(&halting));
        // One task, so that neither is left without the other where a publisher panics.
        tokio::spawn(async move {
            tokio::select! {
                () = run::run(self, halted, told) => {}
                () = watching => {}
            }
        });
        CdcRelayHandle { halting, status }
    }

    fn plan(&self) -> Plan {
        Plan {
            slot: self.source.slot.clone(),
            publication: self.source.publication.clone(),
            tables: vec![self.table.clone()],
            kinds: Kinds::Inserts,
            makes: self.options.makes,
        }
    }
}

impl CdcRelayHandle {
    /// What is known about it.
    #[must_use]
    pub fn status(&self) -> CdcRelayStatus {
        self.status.borrow().clone()
    }

    /// Waits until what is known about it is so.
    pub async fn wait_for(&mut self, is_so: impl FnMut(&CdcRelayStatus) -> bool) -> CdcRelayStatus {
        // Where it is gone, the last status says that it has stopped.
        drop(self.status.wait_for(is_so).await);
        self.status()
    }

    /// Ends it after what it is doing, and waits for that.
    pub async fn stop(mut self) {
        self.halting.send_replace(Halt::Told);
        let is_over = |status: &CdcRelayStatus| matches!(status.state, CdcState::Stopped { .. });
        self.wait_for(is_over).await;
    }
}
