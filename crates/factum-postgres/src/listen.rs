//! Notifications between processes: sent after commits, never in the transaction of an append, as
//! the server lets only one transaction at a time commit with one in it.
//!
//! They are sent together, at most one in an interval, and say nothing but *look*. A lost one costs
//! the time to the next look.

use crate::{
    options::{Listen, Options},
    shared::Shared,
};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// After a failure to listen nobody tries again for so long.
const PAUSE: Duration = Duration::from_secs(5);

/// The side that hears, where it can.
#[derive(Default)]
pub(crate) struct Listener {
    listener: Option<PgListener>,
    failed: Option<Instant>,
}

impl Listener {
    /// How long to wait for a notification before looking all the same.
    pub(crate) async fn interval(&mut self, shared: &Shared) -> Duration {
        let options = &shared.options;
        let pauses = self.failed.is_some_and(|at| at.elapsed() < PAUSE);
        let address = address(options, &shared.address);
        if let Some(address) = address.filter(|_| self.listener.is_none() && !pauses) {
            let listens = shared.answer(listen(address, &shared.place.channel));
            self.listener = listens.await.ok();
            self.failed = self.listener.is_none().then(Instant::now);
        }
        Duration::from_millis(match self.listener {
            Some(_) => options.poll_interval_listening_ms,
            None => options.poll_interval_ms,
        })
    }

    /// Waits for a notification, at most this long.
    pub(crate) async fn heard(&mut self, interval: Duration) {
        let Some(listener) = &mut self.listener else { return sleep(interval).await };
        tokio::select! {
            heard = listener.try_recv() => {
                // Lost: what came meanwhile is found by looking, now.
                if !matches!(heard, Ok(Some(_))) {
                    self.listener = None;
                }
            }
            () = sleep(interval) => {}
        }
    }
}

/// Where to listen, of who has this address; `None` where nobody can.
pub(crate) fn address(options: &Options, own: &PgConnectOptions) -> Option<PgConnectOptions> {
    match &options.listen {
        Listen::Same if options.pooler => None,
        Listen::Same => Some(own.clone()),
        Listen::At(address) => Some((**address).clone()),
        Listen::Off => None,
    }
}

pub(crate) async fn listen(
    address: PgConnectOptions,
    channel: &str,
) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(address);
    let mut listener = PgListener::connect_with(&pool).await?;
    // Where the server goes away, this is to notice it, and not to wait for it.
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}

/// Notifies others of what this process has appended, until the store is gone.
pub(crate) async fn notify(appended: Arc<Notify>, shared: Weak<Shared>) {
    loop {
        appended.notified().await;
        let Some(held) = shared.upgrade() else { return };
        let interval = Duration::from_millis(held.options.notify_interval_ms);
        // Its own commit need not be durable: nothing is in it.
        let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')";
        let notifying = held.read(async |connection| {
            let query = sqlx::query(sql).persistent(!held.options.pooler);
            held.answer(query.bind(&held.place.channel).execute(connection)).await
        });
        // A lost one is made up for by looking.
        let _ = notifying.await;
        drop(held);
        sleep(interval).await;
    }
}

/// Whether others are told of appends.
pub(crate) fn is_on(options: &Options) -> bool {
    options.notify_interval_ms > 0
}
