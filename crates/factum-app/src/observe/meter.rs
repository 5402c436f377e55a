//! The numbers: each handle is asked for once, when what it counts is registered, so that counting
//! allocates nothing. So the program installs its recorder before it builds its app.

use crate::{
    consumer::{Lag, Spec},
    decision::{ExecuteError, Receipt},
    outbox::Turn,
};
use factum_core::Timestamp;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Done,
    Nothing,
    Replayed,
    Refused,
    Exhausted,
    Failed,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Done, Self::Nothing, Self::Replayed, Self::Refused, Self::Exhausted, Self::Failed];

    pub(crate) fn of<R>(done: &Result<Receipt, ExecuteError<R>>) -> Self {
        match done {
            Ok(receipt) if receipt.replayed => Self::Replayed,
            Ok(receipt) if receipt.nothing.is_some() => Self::Nothing,
            Ok(_) => Self::Done,
            Err(ExecuteError::Refused(_)) => Self::Refused,
            Err(ExecuteError::Exhausted { .. }) => Self::Exhausted,
            Err(_) => Self::Failed,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Nothing => "nothing",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
            Self::Exhausted => "exhausted",
            Self::Failed => "failed",
        }
    }
}

/// Those of an app.
#[derive(Debug)]
pub(crate) struct Meters {
    /// As many as the program has types of commands.
    commands: RwLock<HashMap<&'static str, Arc<CommandMeter>>>,
    pub(crate) append_retries: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            commands: RwLock::default(),
            append_retries: counter!("factum_append_retries_total"),
        }
    }

    pub(crate) fn command(&self, name: &'static str) -> Arc<CommandMeter> {
        let known = self.commands.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| {
            let mut all = self.commands.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(name).or_insert_with(|| Arc::new(CommandMeter::new(name))).clone()
        })
    }
}

/// Those of a command.
#[derive(Debug)]
pub(crate) struct CommandMeter {
    outcomes: [Counter; Outcome::ALL.len()],
    pub(crate) conflicts: Counter,
    seconds: Histogram,
}

impl CommandMeter {
    fn new(name: &'static str) -> Self {
        let of = |outcome: Outcome| {
            let outcome = outcome.name();
            counter!("factum_commands_total", "command" => name, "outcome" => outcome)
        };
        Self {
            outcomes: Outcome::ALL.map(of),
            conflicts: counter!("factum_command_conflicts_total", "command" => name),
            seconds: histogram!("factum_command_seconds", "command" => name),
        }
    }

    pub(crate) fn count(&self, outcome: Outcome, begun: Timestamp, now: Timestamp) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
        self.seconds.record(seconds(begun, now));
    }
}

/// Those of a consumer: a projection, a process, a handler, a publication.
#[derive(Debug)]
pub(crate) struct ConsumerMeter {
    pub(crate) events: Counter,
    pub(crate) errors: Counter,
    pub(crate) skipped: Counter,
    parked: Gauge,
    batch_events: Histogram,
    batch_seconds: Histogram,
    lag_events: Gauge,
    lag_seconds: Gauge,
}

/// What a consumer has committed.
pub(crate) struct Committed {
    pub(crate) events: u64,
    pub(crate) parked: u64,
    /// When it began with them.
    pub(crate) begun: Timestamp,
    /// When the last of them was recorded.
    pub(crate) recorded: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) caught_up: bool,
}

impl ConsumerMeter {
    pub(crate) fn new(spec: &Spec) -> Self {
        let labels = [("consumer", spec.name.clone()), ("version", spec.version.to_string())];
        Self {
            events: counter!("factum_consumer_events_total", &labels),
            errors: counter!("factum_consumer_errors_total", &labels),
            skipped: counter!("factum_consumer_skipped_total", &labels),
            parked: gauge!("factum_consumer_parked_events", &labels),
            batch_events: histogram!("factum_consumer_batch_events", &labels),
            batch_seconds: histogram!("factum_consumer_batch_seconds", &labels),
            lag_events: gauge!("factum_consumer_lag_events", &labels),
            lag_seconds: gauge!("factum_consumer_lag_seconds", &labels),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a number past 2^53 may be rounded")]
    pub(crate) fn committed(&self, committed: &Committed) {
        let Committed { events, parked, begun, recorded, now, caught_up } = *committed;
        self.parked.set(parked as f64);
        if events > 0 {
            self.events.increment(events);
            self.batch_events.record(events as f64);
            self.batch_seconds.record(seconds(begun, now));
        }
        if caught_up {
            self.lag_events.set(0.0);
            self.lag_seconds.set(0.0);
        } else if events > 0 {
            self.lag_seconds.set(seconds(recorded, now));
        }
    }

    /// What the store was asked for.
    #[allow(clippy::cast_precision_loss, reason = "a number past 2^53 may be rounded")]
    pub(crate) fn lag(&self, lag: Lag) {
        self.lag_events.set(lag.events as f64);
        self.lag_seconds.set(lag.time.as_secs_f64());
    }
}

/// Those of a handler or a publication.
#[derive(Debug)]
pub(crate) struct DeliveryMeter {
    handled: Counter,
    failed: Counter,
    pub(crate) retries: Counter,
    seconds: Histogram,
}

impl DeliveryMeter {
    pub(crate) fn new(name: &str) -> Self {
        let total = |outcome: &'static str| {
            let labels = [("handler", name.to_owned()), ("outcome", outcome.to_owned())];
            counter!("factum_deliveries_total", &labels)
        };
        let labels = [("handler", name.to_owned())];
        Self {
            handled: total("handled"),
            failed: total("failed"),
            retries: counter!("factum_delivery_retries_total", &labels),
            seconds: histogram!("factum_delivery_seconds", &labels),
        }
    }

    pub(crate) fn count(&self, handled: bool, begun: Timestamp, now: Timestamp) {
        let counter = if handled { &self.handled } else { &self.failed };
        counter.increment(1);
        self.seconds.record(seconds(begun, now));
    }
}

/// Those of the relays of a program.
#[derive(Debug)]
pub(crate) struct RelayMeter {
    published: Counter,
    failed: Counter,
    dead: Counter,
    batch_rows: Histogram,
    seconds: Histogram,
    lag_seconds: Gauge,
}

impl RelayMeter {
    pub(crate) fn new() -> Self {
        let total =
            |outcome: &'static str| counter!("factum_outbox_rows_total", "outcome" => outcome);
        Self {
            published: total("published"),
            failed: total("failed"),
            dead: total("dead"),
            batch_rows: histogram!("factum_outbox_batch_rows"),
            seconds: histogram!("factum_outbox_turn_seconds"),
            lag_seconds: gauge!("factum_outbox_lag_seconds"),
        }
    }

    /// A turn that had rows.
    #[allow(clippy::cast_precision_loss, reason = "a number past 2^53 may be rounded")]
    pub(crate) fn count(&self, turn: &Turn, begun: Timestamp, now: Timestamp) {
        if turn.claimed == 0 {
            return;
        }
        self.published.increment(turn.published);
        self.failed.increment(turn.failed);
        self.dead.increment(turn.dead);
        self.batch_rows.record(turn.claimed as f64);
        self.seconds.record(seconds(begun, now));
    }

    /// How long the oldest row has waited that it was given.
    pub(crate) fn lag(&self, oldest: Timestamp, now: Timestamp) {
        self.lag_seconds.set(seconds(oldest, now));
    }

    /// None waits.
    pub(crate) fn nothing(&self) {
        self.lag_seconds.set(0.0);
    }
}

/// Clocks go back at times: then it took no time.
fn seconds(begun: Timestamp, now: Timestamp) -> f64 {
    let nanos = u64::try_from(now.0.saturating_sub(begun.0)).unwrap_or_default();
    std::time::Duration::from_nanos(nanos).as_secs_f64()
}
