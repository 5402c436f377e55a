//! The relay at work: one session after the other, each of a connection for statements and one that
//! reads the slot.

use super::{
    CdcRelay, CdcState, Telling,
    publish::{Batch, Fate},
    rows::{self, Damaged, Found, Table},
};
use crate::cdc::{
    CdcError, OverLimit,
    feed::{Change, Feed, Item},
    halt::Halted,
    lag, setup,
};
use factum_app::outbox::Row;
use pgwire_replication::Lsn;
use sqlx::PgConnection;
use std::{collections::HashSet, sync::Arc};
use tokio::time::{Instant, sleep_until};

/// Runs until it is told to end, or cannot go on.
pub(super) async fn run(relay: CdcRelay, mut halted: Halted, told: Arc<Telling>) {
    let (mut failures, mut has_run) = (0, false);
    let mut why = loop {
        let before = told.borrow().published;
        let outcome = session(&relay, &mut halted, (&told, &mut has_run)).await;
        let error = match outcome {
            _ if halted.is_on() => break halted.why(),
            Ok(()) => continue,
            // Where it was none before, a failover is under way.
            Err(error @ CdcError::Replica) if has_run => error,
            Err(error) if !error.is_retryable() => break Some(error),
            Err(error) => error,
        };
        failures = if told.borrow().published > before { 1 } else { failures + 1 };
        let state = match error {
            CdcError::SlotInUse { .. } => CdcState::StandingBy,
            error => CdcState::Away { why: error.to_string() },
        };
        told.send_modify(|status| status.state = state);
        halted.rest(relay.options.pause(failures)).await;
        if halted.is_on() {
            break halted.why();
        }
    };
    if let Some(CdcError::OverLimit { done, .. }) = &mut why {
        // The next look of whoever starts it again finds the same.
        if drop_slot(&relay).await.is_err() {
            *done = "it could not be dropped, and keeps the log: drop it, or start the relay again";
        }
    }
    told.send_modify(|status| status.state = CdcState::Stopped { why });
}

async fn drop_slot(relay: &CdcRelay) -> Result<(), CdcError> {
    if relay.options.over_limit != OverLimit::Drop {
        return Ok(());
    }
    let mut connection = relay.source.connect().await?;
    let table = Table::new(&relay.table, &relay.source.slot);
    table.make_slots(&mut connection).await?;
    table.forget(&mut connection).await?;
    lag::drop_slot(&mut connection, &relay.source.slot).await
}

/// One session.
struct Relaying<'a> {
    relay: &'a CdcRelay,
    table: Table,
    connection: PgConnection,
    told: &'a Telling,
    /// Whether rows are marked in the table.
    has_marked: bool,
    looked: Instant,
    /// Up to here the log may tell of rows whose fate is noted already.
    known_until: Lsn,
}

async fn session(
    relay: &CdcRelay,
    halted: &mut Halted,
    (told, has_run): (&Telling, &mut bool),
) -> Result<(), CdcError> {
    let mut also = halted.clone();
    let (mut relaying, mut feed) = tokio::select! {
        () = also.on() => return Ok(()),
        opened = open(relay, told) => opened?,
    };
    told.send_modify(|status| status.state = CdcState::Running);
    *has_run = true;
    let outcome = relaying.relay_all(&mut feed, halted).await;
    feed.close().await;
    relaying.table.forget_if_gone(&mut relaying.connection, outcome).await
}

async fn open<'a>(
    relay: &'a CdcRelay,
    told: &'a Telling,
) -> Result<(Relaying<'a>, Feed), CdcError> {
    relay.source.check()?;
    let mut connection = relay.source.connect().await?;
    let plan = relay.plan();
    let table = Table::new(&relay.table, &plan.slot);
    setup::prepare(&mut connection, &plan).await?;
    table.check(&mut connection).await?;
    table.make_slots(&mut connection).await?;
    let found = setup::has_slot(&mut connection, &plan).await;
    if !table.forget_if_gone(&mut connection, found).await? {
        table.forget(&mut connection).await?;
        setup::make_slot(&mut connection, &plan).await?;
    }
    let opened = relay.source.open().await;
    let feed = table.forget_if_gone(&mut connection, opened).await?;
    // Only who has the slot writes to the table.
    table.adopt(&mut connection).await?;
    let known_until = lag::written(&mut connection).await?;
    let (has_marked, looked) = (true, Instant::now());
    Ok((Relaying { relay, table, connection, told, has_marked, looked, known_until }, feed))
}

/// What was taken from the log at once.
#[derive(Default)]
struct Taken {
    rows: Vec<Row>,
    /// The one after them, where it cannot be published.
    damaged: Option<Damaged>,
    /// Where the first of them was committed.
    commit: Lsn,
    /// What can be confirmed when the rows are done.
    confirms: Option<Lsn>,
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.damaged.is_none() && self.confirms.is_none()
    }
}

impl Relaying<'_> {
    async fn relay_all(&mut self, feed: &mut Feed, halted: &mut Halted) -> Result<(), CdcError> {
        self.look(halted).await?;
        let mut taking = Taken::default();
        while !halted.is_on() {
            let next_look = self.looked + self.relay.options.look;
            tokio::select! {
                () = halted.on() => return Ok(()),
                () = sleep_until(next_look) => {
                    self.look(halted).await?;
                    continue;
                }
                taken = self.take(feed, &mut taking) => taken?,
            }
            let mut taken = std::mem::take(&mut taking);
            if taken.commit <= self.known_until && !taken.rows.is_empty() {
                let noted = self.table.noted(&mut self.connection, &taken.rows).await?;
                taken.rows.retain(|row| !noted.contains(&row.sequence));
            }
            if !self.settle(&taken.rows, halted).await? {
                continue;
            }
            if let Some(damaged) = taken.damaged {
                self.bury(damaged).await?;
            }
            if let Some(confirms) = taken.confirms {
                feed.confirm(confirms);
            }
        }
        Ok(())
    }

    /// Waits for something, and takes what is there with it. Dropped, what it has is kept.
    async fn take(&self, feed: &mut Feed, taken: &mut Taken) -> Result<(), CdcError> {
        let rows_max = self.relay.options.batch_max.max(1);
        while taken.rows.len() < rows_max && taken.damaged.is_none() {
            let item = match taken.is_empty() {
                true => feed.next().await?,
                false => tokio::select! {
                    biased;
                    next = feed.next() => next?,
                    () = std::future::ready(()) => break,
                },
            };
            match item {
                Item::Change(change) => {
                    if taken.rows.is_empty() {
                        taken.commit = change.commit;
                    }
                    match self.row(&change)? {
                        Some(Found::Whole(row)) => taken.rows.push(row),
                        Some(Found::Damaged(damaged)) => taken.damaged = Some(damaged),
                        None => {}
                    }
                }
                Item::Commit { end } => taken.confirms = Some(end),
                Item::Idle { at } => taken.confirms = Some(at),
            }
        }
        Ok(())
    }

    fn row(&self, change: &Change) -> Result<Option<Found>, CdcError> {
        if change.table_name()? != self.relay.table {
            return Ok(None);
        }
        let row = rows::told(change)?;
        if row.is_some() {
            self.told.send_modify(|status| {
                status.behind_since.get_or_insert(change.committed_at);
            });
        }
        Ok(row)
    }

    /// Publishes rows, and notes what became of them; whether all of it is done.
    async fn settle(&mut self, rows: &[Row], halted: &mut Halted) -> Result<bool, CdcError> {
        if rows.is_empty() {
            self.caught_up();
            return Ok(true);
        }
        let blocked = match self.has_marked {
            true => self.table.blocked(&mut self.connection, rows).await?,
            false => HashSet::new(),
        };
        let is_done = self.publish(rows, blocked, halted).await?;
        if is_done {
            self.caught_up();
        }
        Ok(is_done)
    }

    /// No row is in hand any more: all are done, or were noted already.
    fn caught_up(&self) {
        self.told.send_if_modified(|status| status.behind_since.take().is_some());
    }

    /// Gives up a row that cannot be published; what comes with its key waits.
    async fn bury(&mut self, damaged: Damaged) -> Result<(), CdcError> {
        self.table.bury(&mut self.connection, damaged).await?;
        self.has_marked = true;
        self.told.send_modify(|status| {
            status.dead += 1;
            status.is_waiting_for_operator = true;
        });
        Ok(())
    }

    async fn publish(
        &mut self,
        rows: &[Row],
        blocked: HashSet<String>,
        halted: &mut Halted,
    ) -> Result<bool, CdcError> {
        let Self { relay, told, .. } = self;
        let away = |why: String| {
            told.send_modify(|status| status.state = CdcState::Away { why: why.clone() });
        };
        let batch = Batch::new(rows, blocked);
        let publisher = &*relay.publisher;
        let fates = batch.publish(publisher, (&relay.options, halted), away).await;
        let settled = rows.iter().zip(&fates).filter_map(|(row, fate)| Some((row, fate.as_ref()?)));
        let settled = settled.collect::<Vec<_>>();
        self.table.note(&mut self.connection, &settled).await?;
        let count = |is: fn(&Fate) -> bool| settled.iter().filter(|(_, fate)| is(fate)).count();
        let published = count(|fate| *fate == Fate::Published) as u64;
        let dead = count(|fate| matches!(fate, Fate::Dead { .. })) as u64;
        self.has_marked |= (published as usize) < settled.len();
        let is_waiting = self.has_marked;
        told.send_modify(|status| {
            status.published += published;
            status.dead += dead;
            status.is_waiting_for_operator |= is_waiting;
            if published > 0 || dead > 0 {
                status.state = CdcState::Running;
            }
        });
        Ok(settled.len() == rows.len())
    }

    /// Publishes what is marked in the table and nothing holds up any more; deletes what is old.
    async fn look(&mut self, halted: &mut Halted) -> Result<(), CdcError> {
        let batch_max = self.relay.options.batch_max;
        while self.has_marked && !halted.is_on() {
            let (rows, damaged) = self.table.free(&mut self.connection, batch_max).await?;
            if rows.is_empty() && damaged.is_none() {
                break;
            }
            let is_done = self.publish(&rows, HashSet::new(), halted).await?;
            if let Some(damaged) = damaged.filter(|_| is_done) {
                self.bury(damaged).await?;
            }
        }
        if self.has_marked {
            self.has_marked = self.table.has_marked(&mut self.connection).await?;
        }
        let is_waiting = self.has_marked;
        self.told.send_modify(|status| status.is_waiting_for_operator = is_waiting);
        let keep = self.relay.options.keep;
        while self.table.sweep(&mut self.connection, keep).await? && !halted.is_on() {}
        self.looked = Instant::now();
        Ok(())
    }
}
