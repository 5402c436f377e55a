//! Who is told that rows may have come: relays of this process at once, those of others by a
//! notification.
//!
//! It is sent after commits and never in their transaction, as the server lets only one transaction
//! at a time commit with one in it; at most one in an interval. A lost one costs the time until a
//! relay looks by itself.

use crate::{beside::Beside, listen};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};

/// After a failure to listen nobody tries again for so long.
const PAUSE: Duration = Duration::from_secs(5);

/// Wake-ups of one process. Its tasks begin when they are first needed, and end with it.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    here: Arc<Notify>,
    others: Arc<Notify>,
    notifying: Mutex<Option<Task>>,
    listening: Mutex<Option<Task>>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One that ended, with the runtime it was of, is begun again.
fn ensure(task: &Mutex<Option<Task>>, work: impl Future<Output = ()> + Send + 'static) {
    let mut task = task.lock().unwrap_or_else(PoisonError::into_inner);
    if task.as_ref().is_none_or(|task| task.0.is_finished()) {
        *task = Some(Task(tokio::spawn(work)));
    }
}

/// By the schema.
fn channel(on: &Beside) -> String {
    format!("factum_outbox_{:08x}", on.hash("channel"))
}

impl Wakes {
    pub(super) fn wake(&self, on: &Beside) {
        self.here.notify_one();
        if listen::is_on(&on.options) {
            self.others.notify_one();
            ensure(&self.notifying, notify(on.clone(), self.others.clone()));
        }
    }

    pub(super) async fn woken(&self, on: &Beside) {
        ensure(&self.listening, hear(on.clone(), self.here.clone()));
        self.here.notified().await;
    }
}

async fn notify(on: Beside, others: Arc<Notify>) {
    let interval = Duration::from_millis(on.options.notify_interval_ms);
    // Its own commit need not be durable: nothing is in it.
    let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')";
    loop {
        others.notified().await;
        let query = on.query(sql).bind(channel(&on));
        let _ = on.run(async |connection| query.execute(connection).await).await;
        sleep(interval).await;
    }
}

async fn hear(on: Beside, here: Arc<Notify>) {
    let own = on.pool.connect_options();
    let Some(address) = listen::address(&on.options, &own) else { return };
    loop {
        if let Ok(mut listener) = listen::listen(address.clone(), &channel(&on)).await {
            // What came before it listened is found by looking, now.
            here.notify_one();
            while let Ok(Some(_)) = listener.try_recv().await {
                here.notify_one();
            }
        }
        sleep(PAUSE).await;
    }
}
