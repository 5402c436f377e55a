//! Publishing: a batch is looked at, sent, and answered when the cluster has answered.

use crate::{
    binding::Record,
    client::Told,
    error::{ConnectError, TopicError},
    line::{Line, Sent},
    options::Options,
    topics::{Topics, Warden, check_name, look, settle},
};
use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use rdkafka::{ClientConfig, producer::Producer};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A publisher to Kafka.
///
/// Confirmed is what all replicas in sync have (`acks=all`). Messages with one key go to one
/// partition, the one that Java's clients choose, and stay in order, also where some are sent
/// again (`enable.idempotence`); those with one key in one batch *to several topics* are not in
/// order with each other, as Kafka orders within a partition only.
///
/// A call ends within [`Options::publish_timeout`] and 10 seconds. What was not confirmed by then
/// is answered *unknown*, whoever sent it, and a new producer takes over.
#[derive(Debug)]
pub struct KafkaPublisher {
    options: Options,
    topics: Topics,
    line: Mutex<Arc<Line>>,
}

/// How long one question to the cluster may take, when it is looked for.
const LOOK: Duration = Duration::from_millis(200);

impl KafkaPublisher {
    /// Over a cluster that answers, and takes our credentials.
    ///
    /// # Errors
    ///
    /// A setting is wrong, the cluster refuses us, or did not answer within
    /// [`Options::publish_timeout`].
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let config = options.producer()?;
        Self::over(options, &config, Told::default()).await.map(|(publisher, _)| publisher)
    }

    /// Over a producer of this form.
    pub(crate) async fn over(
        options: Options,
        config: &ClientConfig,
        told: Told,
    ) -> Result<(Self, Arc<Line>), ConnectError> {
        let line = Arc::new(Line::open(config, told)?);
        let until = Instant::now() + options.publish_timeout;
        loop {
            let asked = Arc::clone(&line);
            let ask = move || asked.producer.client().fetch_cluster_id(LOOK);
            if matches!(tokio::task::spawn_blocking(ask).await, Ok(Some(_))) {
                line.told.answered();
                let (topics, first) = (Topics::default(), Mutex::new(Arc::clone(&line)));
                return Ok((Self { options, topics, line: first }, line));
            }
            if let Some(why) = line.told.refused() {
                return Err(ConnectError::Refused { why });
            }
            if Instant::now() >= until {
                let what = format!("no broker answered at {}", options.servers);
                return Err(ConnectError::Unavailable { why: line.told.with_refusal(&what) });
            }
        }
    }

    async fn publish_all(&self, batch: &[Outgoing]) -> Vec<Result<(), PublishError>> {
        let until = Instant::now() + self.options.publish_timeout;
        let line = match self.line() {
            Ok(line) => line,
            Err(error) => return vec![Err(error); batch.len()],
        };
        let wrong = self.wrong_topics(&line, batch, until).await;
        let mut stopped = HashSet::new();
        let mut sent = Vec::with_capacity(batch.len());
        for one in batch {
            let key = one.message.key.as_deref();
            let result = match (wrong.get(one.topic.as_str()), key) {
                (_, Some(key)) if stopped.contains(key) => {
                    Err(PublishError::Behind { key: key.to_owned() })
                }
                (Some(error), _) => Err(error.clone()),
                _ => self.send(&line, one, until).await,
            };
            if result.is_err() {
                stopped.extend(key);
            }
            sent.push(result);
        }
        let outcomes = confirmations(&line, sent, until).await;
        self.learn(batch, &outcomes);
        outcomes
    }

    async fn send<'a>(
        &self,
        line: &Line,
        one: &'a Outgoing,
        until: Instant,
    ) -> Result<Sent<'a>, PublishError> {
        let record = Record::of(&one.message, self.options.mode);
        let (bytes, max) = (record.bytes(), self.options.max_bytes);
        if bytes > max {
            return Err(PublishError::TooLarge { bytes, max });
        }
        line.send(&one.topic, &record, until).await
    }

    /// Publishes a record as it is.
    pub(crate) async fn put(&self, topic: &str, record: &Record) -> Result<(), PublishError> {
        let until = Instant::now() + self.options.publish_timeout;
        let line = self.line()?;
        self.know(&line, topic, until).await?;
        let sent = line.send(topic, record, until).await?;
        line.confirmed(sent, until).await
    }

    /// Whether there is such a topic; it is looked for once.
    pub(crate) async fn know(
        &self,
        line: &Arc<Line>,
        topic: &str,
        until: Instant,
    ) -> Result<(), PublishError> {
        if !self.topics.is_known(topic) {
            let found = self.find(line, topic, until).await;
            found.map_err(|error| error.of_publishing(topic))?;
            self.topics.remember(topic);
        }
        Ok(())
    }

    /// The topics of a batch that cannot be sent to, and why.
    async fn wrong_topics<'a>(
        &self,
        line: &Arc<Line>,
        batch: &'a [Outgoing],
        until: Instant,
    ) -> HashMap<&'a str, PublishError> {
        let mut wrong = HashMap::new();
        let mut asked = HashSet::new();
        for topic in batch.iter().map(|one| one.topic.as_str()) {
            if asked.insert(topic)
                && let Err(error) = self.know(line, topic, until).await
            {
                wrong.insert(topic, error);
            }
        }
        wrong
    }

    async fn find(&self, line: &Arc<Line>, topic: &str, until: Instant) -> Result<(), TopicError> {
        if let Some(why) = check_name(topic) {
            return Err(TopicError::Refused(why));
        }
        let (asked, name) = (Arc::clone(line), topic.to_owned());
        let ask = move || look(asked.producer.client(), &name);
        let found = settle(ask.clone(), false, until).await;
        let warden = Warden::new(&self.options, &line.told)?;
        match (found, self.options.create) {
            (Err(TopicError::Missing(_)), Some(new)) => {
                warden.make(topic, new).await?;
                settle(ask, true, until).await?;
            }
            (found, _) => _ = found?,
        }
        self.topics.check_size(topic, &warden, until).await
    }

    /// The producer of now.
    fn line(&self) -> Result<Arc<Line>, PublishError> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_over() {
            let told = line.told.next();
            let open = self.options.producer().and_then(|config| Line::open(&config, told));
            let refused = |error: ConnectError| PublishError::Refused { why: error.to_string() };
            *line = Arc::new(open.map_err(refused)?);
        }
        Ok(Arc::clone(&line))
    }

    /// A topic that is no longer there is looked for again.
    fn learn(&self, batch: &[Outgoing], outcomes: &[Result<(), PublishError>]) {
        for (one, outcome) in batch.iter().zip(outcomes) {
            if matches!(outcome, Err(PublishError::Unroutable { .. })) {
                self.topics.forget(&one.topic);
            }
        }
    }
}

async fn confirmations(
    line: &Line,
    sent: Vec<Result<Sent<'_>, PublishError>>,
    until: Instant,
) -> Vec<Result<(), PublishError>> {
    let mut outcomes = Vec::with_capacity(sent.len());
    for one in sent {
        outcomes.push(match one {
            Ok(sent) => line.confirmed(sent, until).await,
            Err(error) => Err(error),
        });
    }
    outcomes
}

impl Publisher for KafkaPublisher {
    fn max_bytes(&self) -> u64 {
        self.options.max_bytes
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(self.publish_all(batch))
    }
}
