//! One producer of librdkafka, and the confirmations that it owes.
//!
//! librdkafka keeps messages with one key in order, and after one that the broker refused sends
//! none behind it (`enable.gapless.guarantee`). That does not hold for messages that are too late,
//! so none ever is: who has waited long enough takes *all* back that is not confirmed, and the
//! producer is not used again. What was under way may arrive or not, so it is answered *unknown*.

use crate::{
    binding::Record,
    client::Told,
    error::{ConnectError, unconfirmed},
};
use factum_app::message::PublishError;
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{
        DeliveryFuture, FutureProducer, FutureRecord, Producer, PurgeConfig,
        future_producer::OwnedDeliveryResult,
    },
};
use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// How long is waited before a full queue is tried again.
const FULL: Duration = Duration::from_millis(5);
/// How long what is taken back may take to be reported.
const TAKEN_BACK: Duration = Duration::from_secs(5);

pub(crate) struct Line {
    pub(crate) producer: FutureProducer<Told>,
    pub(crate) told: Told,
    retired: AtomicBool,
}

/// A message that was sent.
pub(crate) struct Sent<'a> {
    topic: &'a str,
    confirmation: DeliveryFuture,
}

impl Line {
    pub(crate) fn open(config: &ClientConfig, told: Told) -> Result<Self, ConnectError> {
        let producer = FutureProducer::from_config_and_context(config, told.clone())?;
        Ok(Self { producer, told, retired: AtomicBool::new(false) })
    }

    /// Queues it, where that is full after others are confirmed.
    pub(crate) async fn send<'a>(
        &self,
        topic: &'a str,
        record: &Record,
        until: Instant,
    ) -> Result<Sent<'a>, PublishError> {
        loop {
            let one = FutureRecord {
                topic,
                partition: None,
                payload: Some(&record.value[..]),
                key: record.key.as_ref(),
                timestamp: None,
                headers: Some(record.owned_headers()),
            };
            let error = match self.producer.send_result(one) {
                Ok(confirmation) => return Ok(Sent { topic, confirmation }),
                Err((error, _)) => error,
            };
            if error.rdkafka_error_code() != Some(Code::QueueFull) {
                return Err(not_sent(&error, topic));
            }
            if Instant::now() >= until {
                let why = "more waits for its confirmation than `unconfirmed_bytes_max`".to_owned();
                return Err(PublishError::Unavailable { why });
            }
            tokio::time::sleep(FULL).await;
        }
    }

    /// Waits until it is confirmed, or refused; or late, then all is taken back.
    pub(crate) async fn confirmed(
        &self,
        mut sent: Sent<'_>,
        until: Instant,
    ) -> Result<(), PublishError> {
        if let Ok(outcome) = timeout_at(until, &mut sent.confirmation).await {
            return self.outcome(outcome, sent.topic);
        }
        self.take_back().await;
        match timeout(TAKEN_BACK, &mut sent.confirmation).await {
            Ok(outcome) => self.outcome(outcome, sent.topic),
            Err(_) => Err(self.late()),
        }
    }

    /// Waits until all of these are confirmed. The first that is not ends it, whichever it is: what
    /// is in a transaction with it may wait for ever.
    pub(crate) async fn all_confirmed(
        &self,
        mut sent: Vec<(usize, Sent<'_>)>,
        until: Instant,
    ) -> Result<(), (usize, PublishError)> {
        let look = poll_fn(|context| self.look_at(&mut sent, context));
        let ended = timeout_at(until, look).await;
        match ended {
            Ok(Some(failed)) => Err(failed),
            Ok(None) => Ok(()),
            Err(_) => Err((sent.first().map_or(0, |(of, _)| *of), self.late())),
        }
    }

    /// The first that failed, or none when all are confirmed.
    fn look_at(
        &self,
        sent: &mut Vec<(usize, Sent<'_>)>,
        context: &mut Context<'_>,
    ) -> Poll<Option<(usize, PublishError)>> {
        let mut failed = None;
        sent.retain_mut(|(of, one)| match Pin::new(&mut one.confirmation).poll(context) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                let error = self.outcome(outcome, one.topic).err();
                failed = failed.take().or(error.map(|error| (*of, error)));
                false
            }
        });
        if failed.is_some() || sent.is_empty() { Poll::Ready(failed) } else { Poll::Pending }
    }

    fn outcome<E>(
        &self,
        outcome: Result<OwnedDeliveryResult, E>,
        topic: &str,
    ) -> Result<(), PublishError> {
        match outcome {
            Ok(Ok(_)) => {
                self.told.answered();
                Ok(())
            }
            Ok(Err((error, _))) => Err(match error.rdkafka_error_code() {
                Some(Code::PurgeQueue | Code::PurgeInflight | Code::MessageTimedOut) => self.late(),
                _ => unconfirmed(&error, topic),
            }),
            Err(_) => Err(lost("its producer is gone")),
        }
    }

    fn late(&self) -> PublishError {
        let what = "the cluster did not confirm it within `Options::publish_timeout`";
        lost(&self.told.with_refusal(what))
    }

    /// Everything that is not confirmed is reported as not confirmed, at once.
    async fn take_back(&self) {
        self.retired.store(true, Ordering::Relaxed);
        let producer = self.producer.clone();
        let purge = move || producer.purge(PurgeConfig::default().queue().inflight());
        // It ends where the runtime does; then nobody waits for a report.
        let _ = tokio::task::spawn_blocking(purge).await;
    }

    /// Whether it must not be used again: it gave up, or all was taken back.
    pub(crate) fn is_over(&self) -> bool {
        self.retired.load(Ordering::Relaxed) || self.producer.client().fatal_error().is_some()
    }
}

impl Drop for Line {
    /// On a thread of its own: librdkafka waits for its threads.
    fn drop(&mut self) {
        let producer = self.producer.clone();
        std::thread::spawn(move || drop(producer));
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("told", &self.told).finish_non_exhaustive()
    }
}

fn lost(why: &str) -> PublishError {
    PublishError::Unknown { why: why.to_owned() }
}

/// Why librdkafka did not take it: it is certainly not there.
fn not_sent(error: &KafkaError, topic: &str) -> PublishError {
    match unconfirmed(error, topic) {
        PublishError::Unknown { why } => PublishError::Unavailable { why },
        other => other,
    }
}
