//! The relay: claims, publishes, marks; and waits when there is nothing, or the broker is away.
//!
//! What must hold: a row is marked only after the broker's confirmation; whatever stops between two
//! steps, the row is published again and never lost; a relay whose claim has run out publishes
//! nothing of it any more.

use super::{Claim, Outbox, OutboxError, Outcome, Row, Settled};
use crate::{
    consumer::{Either, race},
    message::{Outgoing, PublishError, Publisher},
    observe::{meter::RelayMeter, span},
    planted::{Bug, is_on},
    world::{World, half_pause, uuid_v7},
};
use factum_core::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::Instrument;

/// How a relay works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayOptions {
    /// How many rows it takes at a time.
    pub batch_max: u32,
    /// How long they are its own: longer than the broker takes to confirm a batch. When it is gone,
    /// another takes them over after that.
    pub claim: Duration,
    /// How often it looks though nobody woke it.
    pub poll: Duration,
    /// How long it waits after a failure that may pass, at first; twice as long each time.
    pub pause_min: Duration,
    /// And at most.
    pub pause_max: Duration,
    /// After how many failures that may pass a row is given up; none: never, so that an outage of
    /// the broker costs nothing. What will never pass is given up at once.
    pub attempts_max: Option<u32>,
    /// How long published rows are kept.
    pub keep: Duration,
    /// How many of them are deleted at a time.
    pub sweep_max: u32,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            batch_max: 500,
            claim: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(30),
            attempts_max: None,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
            sweep_max: 1_000,
        }
    }
}

/// What one turn of a relay came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    /// Rows that it had.
    pub claimed: u64,
    /// Rows that the broker has confirmed.
    pub published: u64,
    /// Rows that are to be tried again.
    pub failed: u64,
    /// Rows that were given up.
    pub dead: u64,
}

/// What a relay is doing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum RelayState {
    /// It works, or waits for rows.
    #[default]
    Running,
    /// The broker or the outbox is away, and it tries again.
    Away {
        /// What is known.
        why: String,
    },
    /// It has ended: it was told to, or the outbox is broken.
    Stopped {
        /// Why, where nobody told it to.
        why: Option<String>,
    },
}

/// What is known about a relay.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RelayStatus {
    /// What it is doing.
    pub state: RelayState,
    /// How many rows it has published since it began.
    pub published: u64,
    /// How many rows it has given up since it began.
    pub dead: u64,
}

/// A relay from an outbox to a broker.
#[derive(Clone, Debug)]
pub struct Relay {
    world: Arc<dyn World>,
    outbox: Arc<dyn Outbox>,
    publisher: Arc<dyn Publisher>,
    options: RelayOptions,
    name: String,
    meter: Arc<RelayMeter>,
}

/// A relay that runs. Dropped, it ends after its turn.
#[derive(Debug)]
pub struct RelayHandle {
    stop: watch::Sender<bool>,
    status: watch::Receiver<RelayStatus>,
}

impl Relay {
    /// One in a world; its name is its own, so that several may work on one outbox.
    pub fn new(
        world: Arc<dyn World>,
        outbox: Arc<dyn Outbox>,
        publisher: Arc<dyn Publisher>,
        options: RelayOptions,
    ) -> Self {
        let name = uuid_v7(world.now(), world.random(), world.random()).to_string();
        Self { world, outbox, publisher, options, name, meter: Arc::new(RelayMeter::new()) }
    }

    /// Takes a batch of rows, publishes it, and writes what became of it.
    ///
    /// # Errors
    ///
    /// The outbox does not answer. What was published and not marked is published again.
    pub async fn turn(&self) -> Result<Turn, OutboxError> {
        let (span, begun) = (span::relay(&self.name), self.world.now());
        let done = self.take_turn().instrument(span.clone()).await;
        match &done {
            Ok(turn) => {
                span.record("claimed", turn.claimed);
                span.record("published", turn.published);
                span.record("failed", turn.failed);
                span.record("dead", turn.dead);
                span::end(&span, "done");
                self.meter.count(turn, begun, self.world.now());
            }
            Err(error) => span::failed(&span, "failed", error),
        }
        done
    }

    async fn take_turn(&self) -> Result<Turn, OutboxError> {
        let now = self.world.now();
        let until = later(now, self.options.claim);
        let (relay, rows_max) = (self.name.clone(), self.options.batch_max);
        let rows = self.outbox.claim(Claim { relay, rows_max, now, until }).await?;
        let Some(oldest) = rows.first() else {
            self.meter.nothing();
            return Ok(Turn::default());
        };
        self.meter.lag(oldest.created_at, now);
        if is_on(Bug::MarkBeforePublish) {
            let all = rows.iter().map(|row| settled(row, Outcome::Published)).collect();
            self.outbox.settle(&self.name, all, now).await?;
        }
        let batch = rows.iter().map(|row| row.outgoing.clone()).collect::<Vec<_>>();
        let outcomes = self.publish(&batch, until).await;
        let settled = rows.iter().zip(outcomes).map(|(row, outcome)| self.judge(row, outcome));
        let settled = settled.collect::<Vec<_>>();
        let turn = count(&settled);
        self.outbox.settle(&self.name, settled, self.world.now()).await?;
        Ok(turn)
    }

    /// Publishes, for as long as the claim holds: afterwards the rows may be somebody else's.
    async fn publish(&self, batch: &[Outgoing], until: Timestamp) -> Vec<Result<(), PublishError>> {
        let publishing = self.publisher.publish(batch);
        match race(publishing, self.world.sleep_until(until)).await {
            Either::First(outcomes) => outcomes,
            Either::Second(()) => {
                let why = "the claim ran out before the broker had confirmed".to_owned();
                batch.iter().map(|_| Err(PublishError::Unknown { why: why.clone() })).collect()
            }
        }
    }

    fn judge(&self, row: &Row, outcome: Result<(), PublishError>) -> Settled {
        let attempts = row.attempts + 1;
        let is_over = self.options.attempts_max.is_some_and(|max| attempts >= max);
        let outcome = match outcome {
            Ok(()) => Outcome::Published,
            Err(PublishError::Behind { .. }) => Outcome::Untried,
            Err(error) if error.is_retryable() && !is_over => {
                let after = self.pause(row.attempts);
                Outcome::Failed { error: error.to_string(), after }
            }
            Err(_) if is_on(Bug::SkipPoison) => Outcome::Published,
            Err(error) => Outcome::Dead { error: error.to_string() },
        };
        settled(row, outcome)
    }

    /// Twice as long each time, and not as long as others pause.
    fn pause(&self, attempt: u32) -> Duration {
        let RelayOptions { pause_min, pause_max, .. } = self.options;
        half_pause(&*self.world, attempt, pause_min, pause_max)
    }

    /// Runs it beside everything else, until the handle is dropped or told to stop.
    #[must_use = "a relay ends when its handle is dropped"]
    pub fn start(self) -> RelayHandle {
        let (stop, stopped) = watch::channel(false);
        let (told, status) = watch::channel(RelayStatus::default());
        let world = self.world.clone();
        world.spawn(Box::pin(async move { self.run(stopped, told).await }));
        RelayHandle { stop, status }
    }

    async fn run(self, mut stopped: watch::Receiver<bool>, told: watch::Sender<RelayStatus>) {
        let mut failures = 0;
        let why = loop {
            if *stopped.borrow() || stopped.has_changed().is_err() {
                break None;
            }
            let turn = self.turn().await;
            if let Err(OutboxError::Broken { why }) = &turn {
                break Some(why.clone());
            }
            let state = state_of(&turn);
            failures = if state == RelayState::Running { 0 } else { failures + 1 };
            let turn = turn.unwrap_or_default();
            told.send_modify(|status| {
                status.published += turn.published;
                status.dead += turn.dead;
                status.state = state;
            });
            if turn.published == 0 {
                self.rest(failures, &mut stopped).await;
            }
        };
        told.send_modify(|status| status.state = RelayState::Stopped { why });
    }

    /// Nothing was to be done, or could be: tidies up, and waits.
    async fn rest(&self, failures: u32, stopped: &mut watch::Receiver<bool>) {
        let before = Timestamp(earlier(self.world.now(), self.options.keep));
        // A failure to tidy up is no failure: it is done the next time.
        let swept = self.outbox.sweep(before, self.options.sweep_max).await;
        if failures == 0 && swept.is_ok_and(|rows| rows >= u64::from(self.options.sweep_max)) {
            return;
        }
        let pause = match failures {
            0 => self.options.poll,
            failures => self.pause(failures - 1),
        };
        let woken = async {
            match failures {
                0 => self.outbox.woken().await,
                _ => std::future::pending().await,
            }
        };
        race(race(woken, self.world.sleep(pause)), stopped.changed()).await;
    }
}

impl RelayHandle {
    /// What is known about it.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        self.status.borrow().clone()
    }

    /// Ends it after its turn, and waits for that.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let stopped = |status: &RelayStatus| matches!(status.state, RelayState::Stopped { .. });
        // Where it is gone it has stopped too.
        let _ = self.status.wait_for(stopped).await;
    }
}

fn settled(row: &Row, outcome: Outcome) -> Settled {
    Settled { sequence: row.sequence, outcome }
}

fn count(settled: &[Settled]) -> Turn {
    let mut turn = Turn { claimed: settled.len() as u64, ..Turn::default() };
    for one in settled {
        match one.outcome {
            Outcome::Published => turn.published += 1,
            Outcome::Failed { .. } => turn.failed += 1,
            Outcome::Dead { .. } => turn.dead += 1,
            Outcome::Untried => {}
        }
    }
    turn
}

fn state_of(turn: &Result<Turn, OutboxError>) -> RelayState {
    match turn {
        Err(error) => RelayState::Away { why: error.to_string() },
        Ok(turn) if turn.published == 0 && turn.failed > 0 => {
            RelayState::Away { why: "the broker confirmed none of a batch".into() }
        }
        Ok(_) => RelayState::Running,
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(nanos(by)))
}

fn earlier(now: Timestamp, by: Duration) -> i64 {
    now.0.saturating_sub(nanos(by))
}
