//! What becomes of rows: published, given up, or waiting behind one that was.
//!
//! What must hold: a row waits where one before it with its key was given up, and else it is tried
//! until the broker has confirmed it, or says that it never will.

use super::CdcRelayOptions;
use crate::cdc::halt::Halted;
use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    outbox::Row,
};
use std::collections::HashSet;

/// What became of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The broker has it.
    Published,
    /// It failed for good.
    Dead { error: String },
    /// One before it with its key failed for good.
    Waits,
}

/// Rows whose fate is being decided.
pub(super) struct Batch<'a> {
    rows: &'a [Row],
    fates: Vec<Option<Fate>>,
    /// Keys of which one row failed for good.
    blocked: HashSet<String>,
    /// Of each row how often it failed.
    failures: Vec<u32>,
}

impl<'a> Batch<'a> {
    /// Rows, of which those with these keys wait.
    pub(super) fn new(rows: &'a [Row], blocked: HashSet<String>) -> Self {
        Self { rows, fates: vec![None; rows.len()], blocked, failures: vec![0; rows.len()] }
    }

    /// Publishes until each has its fate, or it is to end. `away` is told what a broker says that
    /// takes none.
    pub(super) async fn publish(
        mut self,
        publisher: &dyn Publisher,
        (options, halted): (&CdcRelayOptions, &mut Halted),
        mut away: impl FnMut(String),
    ) -> Vec<Option<Fate>> {
        let mut pauses = 0;
        loop {
            self.hold_blocked();
            let open = self.open();
            if open.is_empty() || halted.is_on() {
                return self.fates;
            }
            let messages = open.iter().filter_map(|nth| self.rows.get(*nth));
            let messages = messages.map(|row| row.outgoing.clone()).collect::<Vec<Outgoing>>();
            let outcomes = publisher.publish(&messages).await;
            let failed = self.judge(&open, outcomes, options.attempts_max);
            if let Some(why) = failed {
                pauses += 1;
                away(why);
                halted.rest(options.pause(pauses)).await;
            }
        }
    }

    fn open(&self) -> Vec<usize> {
        let fates = self.fates.iter().enumerate();
        fates.filter(|(_, fate)| fate.is_none()).map(|(nth, _)| nth).collect()
    }

    fn hold_blocked(&mut self) {
        for (row, fate) in self.rows.iter().zip(&mut self.fates) {
            let key = row.outgoing.message.key.as_ref();
            if fate.is_none() && key.is_some_and(|key| self.blocked.contains(key)) {
                *fate = Some(Fate::Waits);
            }
        }
    }

    /// Counts a failure of a row's own; whether it was the last one.
    fn is_over(&mut self, nth: usize, attempts_max: Option<u32>) -> bool {
        let Some(failures) = self.failures.get_mut(nth) else { return false };
        *failures += 1;
        attempts_max.is_some_and(|max| *failures >= max)
    }

    /// Notes what the broker said; why any of them is to be tried again.
    fn judge(
        &mut self,
        open: &[usize],
        outcomes: Vec<Result<(), PublishError>>,
        attempts_max: Option<u32>,
    ) -> Option<String> {
        let mut again = None;
        for (nth, outcome) in open.iter().zip(outcomes) {
            let fate = match outcome {
                Ok(()) => Fate::Published,
                // Whether it waits or is tried again, what is before it decides.
                Err(PublishError::Behind { .. }) => continue,
                Err(error) if error.is_retryable() && !self.is_over(*nth, attempts_max) => {
                    again.get_or_insert_with(|| error.to_string());
                    continue;
                }
                Err(error) => {
                    let row = self.rows.get(*nth);
                    let key = row.and_then(|row| row.outgoing.message.key.clone());
                    self.blocked.extend(key);
                    Fate::Dead { error: error.to_string() }
                }
            };
            if let Some(place) = self.fates.get_mut(*nth) {
                *place = Some(fate);
            }
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_app::message::Message;
    use factum_core::Timestamp;

    fn row(sequence: u64) -> Row {
        let message = Message::new(sequence.to_string(), "/shop", "order.placed").key("a");
        let outgoing = Outgoing::new("orders", message);
        Row { sequence, outgoing, attempts: 0, created_at: Timestamp(0) }
    }

    /// The limit counted the failures of the batch: a row that had to wait behind another one for
    /// two calls was given up at its own first failure.
    #[test]
    fn a_row_is_given_up_for_failures_of_its_own() {
        let rows = [row(1), row(2)];
        let mut batch = Batch::new(&rows, HashSet::new());
        let away = || Err(PublishError::Unavailable { why: "away".into() });
        let behind = || Err(PublishError::Behind { key: "a".into() });
        for _ in 0..2 {
            assert!(batch.judge(&[0, 1], vec![away(), behind()], Some(3)).is_some());
        }
        assert!(batch.judge(&[0, 1], vec![Ok(()), away()], Some(3)).is_some());
        assert_eq!(batch.fates, [Some(Fate::Published), None]);
        assert!(batch.judge(&[1], vec![away()], Some(3)).is_some());
        assert_eq!(batch.judge(&[1], vec![away()], Some(3)), None);
        assert!(matches!(batch.fates.last(), Some(Some(Fate::Dead { .. }))));
    }
}
