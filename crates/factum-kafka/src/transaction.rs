//! One transaction after the other, of one producer that the cluster knows by its name: records and
//! the offsets of what they were made of, all or none.
//!
//! librdkafka says of each error what is to become of the transaction; what it says is all that is
//! judged here. A commit whose outcome is not known is asked for again until it is, or the producer
//! is given up: the next of its name ends what is open before it begins, and the offsets of the
//! group say how it ended.

use crate::{
    binding::Record,
    client::Told,
    error::{ConnectError, refusal},
    line::Line,
    options::Options,
    publisher::KafkaPublisher,
};
use factum_app::message::PublishError;
use rdkafka::{
    TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    producer::{FutureProducer, Producer},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long one call of librdkafka may block.
const SLICE: Duration = Duration::from_secs(2);
/// How long is waited before it is called again.
const AGAIN: Duration = Duration::from_millis(20);

/// A record, where it goes, and of which message of the batch it was made.
pub(crate) struct Put {
    pub(crate) of: usize,
    pub(crate) topic: String,
    pub(crate) record: Record,
}

/// What becomes visible with the records: how far the group is.
pub(crate) struct Offsets {
    pub(crate) list: TopicPartitionList,
    pub(crate) group: ConsumerGroupMetadata,
}

/// Why a transaction was not committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failed {
    /// Nothing of it is there. Which message's record was at fault, where it was one.
    Aborted { why: String, of: Option<(usize, PublishError)> },
    /// Another has the name.
    Fenced(String),
    /// The cluster will say the same however often it is asked.
    Refused(String),
    /// Whether it is there is not known, or it cannot be ended: the next of the name does.
    Over(String),
}

pub(crate) struct Transactions {
    publisher: KafkaPublisher,
    line: Arc<Line>,
    limit: Duration,
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unavailable { why } => Self::Over(why),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Transactions {
    /// Takes the name over: what another of this name has not committed by then is aborted, and it
    /// cannot commit any more.
    pub(crate) async fn open(options: &Options, name: &str, told: Told) -> Result<Self, Failed> {
        let config = options.transactional(name)?;
        let (publisher, line) = KafkaPublisher::over(options.clone(), &config, told).await?;
        let this = Self { publisher, line, limit: options.publish_timeout };
        this.step(|producer, within| producer.init_transactions(within)).await?;
        Ok(this)
    }

    /// Commits all of it, or nothing.
    pub(crate) async fn commit(&self, puts: &[Put], offsets: Offsets) -> Result<(), Failed> {
        if let Err(error) = self.line.producer.begin_transaction() {
            return Err(Failed::Over(error.to_string()));
        }
        let filled = match self.fill(puts).await {
            Ok(()) => self.add(offsets).await,
            failed => failed,
        };
        let committed = match filled {
            Ok(()) => self.step(|producer, within| producer.commit_transaction(within)).await,
            failed => failed,
        };
        match committed {
            Err(Failed::Aborted { why, of }) => {
                self.step(|producer, within| producer.abort_transaction(within)).await?;
                Err(Failed::Aborted { why, of })
            }
            other => other,
        }
    }

    async fn fill(&self, puts: &[Put]) -> Result<(), Failed> {
        let until = Instant::now() + self.limit;
        let mut sent = Vec::with_capacity(puts.len());
        for Put { of, topic, record } in puts {
            let known = self.publisher.know(&self.line, topic, until).await;
            let one = match known {
                Ok(()) => self.line.send(topic, record, until).await,
                Err(error) => Err(error),
            };
            sent.push((*of, one.map_err(|error| self.not_there((*of, error)))?));
        }
        self.line.all_confirmed(sent, until).await.map_err(|failed| self.not_there(failed))
    }

    /// Why a record is not there: a producer that is fenced hears it there first.
    fn not_there(&self, (of, error): (usize, PublishError)) -> Failed {
        let why = error.to_string();
        match self.line.producer.client().fatal_error() {
            Some((code, why)) => fatal(code, why),
            None => Failed::Aborted { why, of: Some((of, error)) },
        }
    }

    async fn add(&self, Offsets { list, group }: Offsets) -> Result<(), Failed> {
        let group = Arc::new(group);
        self.step(move |producer, within| {
            producer.send_offsets_to_transaction(&list, &group, within)
        })
        .await
    }

    /// One call of librdkafka, again while it says that this may help.
    async fn step<F>(&self, call: F) -> Result<(), Failed>
    where
        F: Fn(&FutureProducer<Told>, Duration) -> KafkaResult<()> + Send + Sync + 'static,
    {
        let (until, call) = (Instant::now() + self.limit, Arc::new(call));
        loop {
            let (producer, call) = (self.line.producer.clone(), Arc::clone(&call));
            let called = tokio::task::spawn_blocking(move || call(&producer, SLICE)).await;
            let error = match called {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(error) => return Err(Failed::Over(error.to_string())),
            };
            match judge(&error) {
                Some(failed) => return Err(failed),
                None if Instant::now() >= until => return Err(Failed::Over(error.to_string())),
                None => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}

/// What an error means; none, where the same call may help.
fn judge(error: &KafkaError) -> Option<Failed> {
    let why = error.to_string();
    let code = error.rdkafka_error_code();
    let cure = code.and_then(refusal);
    match error {
        KafkaError::Transaction(one) if one.is_fatal() => Some(fatal(one.code(), why)),
        KafkaError::Transaction(one) if one.txn_requires_abort() => Some(match cure {
            Some(cure) => Failed::Refused(format!("{why}: {cure}")),
            None => Failed::Aborted { why, of: None },
        }),
        KafkaError::Transaction(one) if one.is_retriable() => None,
        // What is to be sent before the commit is not sent yet.
        KafkaError::Flush(Code::OperationTimedOut) => None,
        _ => Some(match cure {
            Some(cure) => Failed::Refused(format!("{why}: {cure}")),
            None => Failed::Over(why),
        }),
    }
}

fn fatal(code: Code, why: String) -> Failed {
    match (code, refusal(code)) {
        (Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch, _) => {
            Failed::Fenced(why)
        }
        (_, Some(cure)) => Failed::Refused(format!("{why}: {cure}")),
        (_, None) => Failed::Over(why),
    }
}
