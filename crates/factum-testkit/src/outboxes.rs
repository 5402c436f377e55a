//! The suite of outboxes: what every table of messages does, and the relays over it, as cases that
//! run over any database; and the same of inboxes.
//!
//! A database's tests implement [`OutboxUnderTest`] and name the suite:
//!
//! ```no_run
//! # async fn database(harness: impl factum_testkit::outboxes::OutboxUnderTest) {
//! factum_testkit::outboxes::suite(&harness).await;
//! # }
//! ```
//!
//! Each case has a table of its own, and several run at a time. All that fail are named;
//! `CASE=poison` runs those whose name holds `poison`.

mod cases;
mod file;
mod inbox;
mod shaky;
mod trial;

pub use file::FileBroker;
pub use inbox::{InboxUnderTest, inbox};

use crate::{Boxed, Outcome, run::panic_text, within};
use factum_app::{World, message::Outgoing, outbox::Outbox};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use std::{error::Error, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use trial::Trial;

/// What a harness comes to, or why it did not.
pub type Made<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// After this a case has failed: it hangs.
const CASE_TIME_MAX: Duration = Duration::from_secs(120);
/// Cases that run at the same time.
const BESIDE: usize = 6;

/// What a database's tests bring.
pub trait OutboxUnderTest: Send + Sync {
    /// What it is called where a case is reported: "postgres".
    fn name(&self) -> &'static str;

    /// The clock and the tasks of this process.
    fn world(&self) -> Arc<dyn World>;

    /// An outbox that is empty, and nobody else's; it is gone when the value is dropped, or later.
    fn table(&self) -> Boxed<'_, Made<Box<dyn TableUnderTest>>>;
}

/// One outbox, and who writes to it.
pub trait TableUnderTest: Send + Sync {
    /// The outbox, as who writes to it has it.
    fn outbox(&self) -> Arc<dyn Outbox>;

    /// The same table as another process has it, over a connection of its own.
    fn another(&self) -> Boxed<'_, Made<Arc<dyn Outbox>>>;

    /// Enqueues in a transaction of the application's, and ends it.
    fn write<'a>(&'a self, writing: Writing<'a>) -> Boxed<'a, Made<()>>;

    /// Says that something was committed.
    fn wake(&self);

    /// The column `traceparent` of all rows, in their order.
    fn traceparents(&self) -> Boxed<'_, Made<Vec<Option<String>>>>;
}

/// A transaction of the application's.
pub struct Writing<'a> {
    /// What it enqueues.
    pub batch: &'a [Outgoing],
    /// What happens between that and its end.
    pub before_end: Boxed<'a, ()>,
    /// Whether it commits; otherwise it is undone.
    pub commits: bool,
}

impl fmt::Debug for Writing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").field("batch", &self.batch.len()).finish_non_exhaustive()
    }
}

/// A behaviour that every outbox has.
pub struct Case {
    /// What it says.
    pub name: &'static str,
    run: for<'a> fn(Trial<'a>) -> LocalBoxFuture<'a, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs every case over a database.
///
/// # Panics
/// If a case failed: all that did are named, with how.
pub async fn suite(database: &impl OutboxUnderTest) {
    let only = std::env::var("CASE").unwrap_or_default();
    let chosen = CASES.iter().filter(|case| case.name.contains(&only)).collect::<Vec<_>>();
    let run = async |case: &&'static Case| {
        let how = try_case(case, database).await.err()?;
        Some(format!("{}: {how}", case.name))
    };
    let failed: Vec<String> = stream::iter(chosen.iter().map(run).collect::<Vec<_>>())
        .buffer_unordered(BESIDE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let (name, count, all) = (database.name(), failed.len(), chosen.len());
    assert!(failed.is_empty(), "{name}: {count} of {all} cases failed\n{}", failed.join("\n"));
}

/// Runs a case; what is wrong, if it failed.
///
/// # Errors
///
/// In words.
pub async fn try_case(case: &Case, database: &dyn OutboxUnderTest) -> Result<(), String> {
    let running = async {
        let table = database.table().await.map_err(|error| format!("the harness: {error}"))?;
        let trial = Trial::new(&*table, database.world());
        (case.run)(trial).await.map_err(|failure| format!("{failure:?}"))
    };
    match within(CASE_TIME_MAX, AssertUnwindSafe(running).catch_unwind()).await {
        Some(Ok(outcome)) => outcome,
        Some(Err(panic)) => Err(panic_text(&*panic)),
        None => Err(format!("still running after {CASE_TIME_MAX:?}: it hangs")),
    }
}

macro_rules! cases {
    ($($case:ident;)+) => {
        /// Every case.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($case),
            run: |trial| Box::pin(cases::$case(trial)),
        },)+];
    };
}

cases! {
    what_is_committed_is_published_whole_and_what_is_not_never_is;
    several_relays_over_a_shaky_broker_keep_the_order_of_each_key;
    claims_at_the_same_time_share_no_row_and_no_key;
    a_claim_is_nobody_elses_until_it_runs_out;
    claims_take_the_oldest_first_and_no_more_than_asked_for;
    what_is_to_be_tried_again_holds_up_its_key_until_then;
    what_was_not_tried_is_there_at_once;
    what_is_dead_holds_up_what_is_behind_it_and_nothing_before_it;
    rows_without_a_key_wait_for_nobody;
    a_relay_that_lost_its_claim_says_only_what_it_published;
    poison_holds_up_its_own_key_until_somebody_decides;
    only_what_is_dead_is_replayed_or_discarded;
    an_outage_costs_nothing_and_is_told;
    a_wake_up_is_quicker_than_looking_and_looking_covers_a_lost_one;
    published_rows_are_deleted_when_they_are_old;
}
