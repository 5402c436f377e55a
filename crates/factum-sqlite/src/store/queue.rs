//! What waits for the writer: bounded by count and by bytes; what does not fit is refused at once.

use crate::{Options, error::CLOSED, inline::Hook};
use factum_core::{
    Append, AppendError, Change, Check, Expected, Query, Receipt, StreamName,
    completion::{Completion, Filler, completion},
};
use std::{any::Any, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What the writer is asked to do: valid already.
pub(crate) enum Work {
    Append(Append),
    /// Nothing but what its caller wants in the transaction.
    Rows,
    Change {
        stream: StreamName,
        change: Change,
        expected: Option<Expected>,
    },
}

/// Why it was not done.
#[derive(Debug)]
pub(crate) enum Refused {
    /// By the store.
    Append(AppendError),
    /// By what its caller wanted in the same transaction: that error.
    Inline(Box<dyn Any + Send>),
}

pub(crate) type Reply = Result<Receipt, Refused>;

/// Work, what is to happen in its transaction, and where its answer goes.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) hook: Option<Hook>,
    pub(crate) filler: Filler<Reply>,
    pub(crate) weight: OwnedSemaphorePermit,
}

/// What comes to the writer.
pub(crate) enum Message {
    Job(Box<Job>),
    /// Somebody follows, or waits: look for what others write.
    Watch,
}

/// The side of those who ask. The writer ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Message>,
    weights: Arc<Semaphore>,
    weight_max: usize,
}

/// Bytes that weigh one: a semaphore counts to 2^29 on small machines.
const UNIT: usize = 1024;

impl Queue {
    pub(crate) fn new(options: &Options) -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(options.queue_jobs_max);
        let weight_max = options.queue_bytes_max.div_ceil(UNIT);
        (Self { sender, weights: Arc::new(Semaphore::new(weight_max)), weight_max }, receiver)
    }

    pub(crate) fn submit(
        &self,
        work: Work,
        hook: Option<Hook>,
    ) -> Result<Completion<Reply>, AppendError> {
        // One job always fits, however large: the limits of an append are another matter.
        let weight = work.weight().div_ceil(UNIT).clamp(1, self.weight_max);
        let weight = u32::try_from(weight).expect("the settings are below that");
        let room = self.weights.clone().try_acquire_many_owned(weight);
        let weight = room.map_err(|_| AppendError::Overloaded)?;
        let (filler, done) = completion();
        let job = Message::Job(Box::new(Job { work, hook, filler, weight }));
        match self.sender.try_send(job) {
            Ok(()) => Ok(done),
            Err(mpsc::error::TrySendError::Full(_)) => Err(AppendError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(AppendError::Unavailable { why: CLOSED.into() })
            }
        }
    }

    /// Tells the writer that somebody waits for what others write. One that is busy sees it itself.
    pub(crate) fn watch(&self) {
        let _ = self.sender.try_send(Message::Watch);
    }

    /// Appends that wait.
    pub(crate) fn waiting(&self) -> u64 {
        (self.sender.max_capacity() - self.sender.capacity()) as u64
    }
}

/// What a job, an event or a check takes besides its bytes, about.
const EACH_BYTES: usize = 128;

impl Work {
    fn weight(&self) -> usize {
        let own = match self {
            Self::Append(append) => {
                let events = append.events.iter();
                let events = events.map(|(name, event)| name.as_str().len() + event.weight());
                let checks = append.checks.iter().map(weight_of_check);
                events.chain(checks).map(|bytes| EACH_BYTES + bytes).sum()
            }
            Self::Change { change: Change::SetMetadata(metadata), .. } => metadata.to_json().len(),
            Self::Change { .. } | Self::Rows => 0,
        };
        EACH_BYTES + own
    }
}

fn weight_of_check(check: &Check) -> usize {
    match check {
        Check::NoMatch { query: query @ Query::AnyOf(_), .. } => query.to_string().len(),
        Check::NoMatch { .. } | Check::Stream { .. } => 0,
    }
}
