//! Appending what is not there yet: in order, in batches, each under numbered expectations.
//!
//! A batch is one append, all or nothing. Every stream it writes is expected at the revision that
//! was last seen, so a batch that was written before its answer was lost is answered as the first
//! time, and one that somebody else got in front of is judged anew.

use super::present::{Known, known};
use crate::{
    console,
    failure::{Failure, Outcome},
};
use factum::{AnyStore, Append, AppendError, EventData, EventStore, Expected, Receipt, StreamName};
use indicatif::ProgressBar;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

/// Data, metadata and names in one append, in bytes, unless one event has more.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How often a batch is judged anew because somebody else wrote to its streams.
const CONFLICTS_MAX: u32 = 20;
/// How often a batch is sent again where the store is busy or its answer is lost.
const RETRIES_MAX: u32 = 5;
/// The pause before the first retry; each further one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What became of the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sent {
    pub(super) new: u64,
    pub(super) there: u64,
}

/// Appends the events of one file.
pub(super) struct Sender<'a> {
    store: &'a AnyStore,
    known: HashMap<StreamName, Known>,
    batch_events_max: usize,
    sent: Sent,
    bar: ProgressBar,
}

type Events = VecDeque<(StreamName, EventData)>;

impl<'a> Sender<'a> {
    pub(super) fn new(
        store: &'a AnyStore,
        known: HashMap<StreamName, Known>,
        batch_events_max: usize,
    ) -> Self {
        let bar = ProgressBar::hidden();
        Self { store, known, batch_events_max, sent: Sent::default(), bar }
    }

    /// Appends what is not there, in this order.
    pub(super) async fn send(mut self, events: Vec<(StreamName, EventData)>) -> Outcome<Sent> {
        self.bar = console::progress("importing", Some(events.len() as u64), false);
        let mut rest = Events::from(events);
        let mut sent = Ok(());
        while sent.is_ok() && !rest.is_empty() {
            sent = self.batch(&mut rest).await;
        }
        self.bar.finish_and_clear();
        sent.map(|()| self.sent).map_err(|failure| self.so_far(failure))
    }

    fn so_far(&self, failure: Failure) -> Failure {
        failure.help(format_args!(
            "{} of the events were written; run the same command again, and it goes on where it \
             stopped: nothing is written twice",
            self.sent.new
        ))
    }

    /// Appends the next batch, judged anew as often as somebody gets in front of it.
    async fn batch(&mut self, rest: &mut Events) -> Outcome {
        let mut conflicts = 0;
        let mut batch = self.next(rest);
        while !batch.is_empty() {
            let append = self.expecting(&batch);
            match self.append(append).await {
                Ok(receipt) => {
                    self.written(&batch, &receipt);
                    return Ok(());
                }
                Err(AppendError::Conflict { .. } | AppendError::IdReused { .. })
                    if conflicts < CONFLICTS_MAX =>
                {
                    conflicts += 1;
                    self.look_again(&batch).await?;
                    batch = self.missing(batch);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes the next events that are not there yet.
    fn next(&mut self, rest: &mut Events) -> Vec<(StreamName, EventData)> {
        let mut batch: Vec<(StreamName, EventData)> = Vec::new();
        let mut bytes = 0;
        let is_one_stream = !self.store.capabilities().multi_stream;
        while let Some((stream, event)) = rest.front() {
            if self.is_there(stream, event) {
                rest.pop_front();
                self.count(0, 1);
                continue;
            }
            bytes += event.weight() + stream.as_str().len();
            let is_full = batch.len() >= self.batch_events_max || bytes > BATCH_BYTES_MAX;
            let is_other = is_one_stream && batch.first().is_some_and(|(first, _)| first != stream);
            if !batch.is_empty() && (is_full || is_other) {
                break;
            }
            batch.extend(rest.pop_front());
        }
        batch
    }

    fn is_there(&self, stream: &StreamName, event: &EventData) -> bool {
        self.known.get(stream).is_some_and(|known| known.ids.contains(&event.id))
    }

    fn missing(&mut self, batch: Vec<(StreamName, EventData)>) -> Vec<(StreamName, EventData)> {
        let (there, missing): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|(stream, event)| self.is_there(stream, event));
        self.count(0, there.len() as u64);
        missing
    }

    fn count(&mut self, new: u64, there: u64) {
        self.sent.new += new;
        self.sent.there += there;
        self.bar.inc(new + there);
    }

    fn expecting(&self, batch: &[(StreamName, EventData)]) -> Append {
        let mut append = Append { events: batch.to_vec(), ..Append::default() };
        for stream in streams(batch) {
            let last = self.known.get(stream).and_then(|known| known.last);
            let expected = last.map_or(Expected::NoStream, Expected::At);
            append = append.expecting(stream.clone(), expected);
        }
        append
    }

    /// Appends, and again where only waiting helps. The ids make that safe.
    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        let mut pause = RETRY_PAUSE;
        for _ in 0..RETRIES_MAX {
            match self.store.append(append.clone()).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.store.append(append).await
    }

    fn written(&mut self, batch: &[(StreamName, EventData)], receipt: &Receipt) {
        for written in &receipt.streams {
            if let Some(known) = self.known.get_mut(&written.stream) {
                known.last = Some(written.last);
            }
        }
        self.count(batch.len() as u64, 0);
    }

    async fn look_again(&mut self, batch: &[(StreamName, EventData)]) -> Outcome {
        for stream in streams(batch) {
            let now = known(self.store, stream).await?;
            self.known.insert(stream.clone(), now);
        }
        Ok(())
    }
}

fn streams(batch: &[(StreamName, EventData)]) -> HashSet<&StreamName> {
    batch.iter().map(|(stream, _)| stream).collect()
}
