//! Dead letters: a record goes to its topic's topic of dead letters as it is, with headers that say
//! whose it was, why, and after how many deliveries; then it is acknowledged.

use crate::{binding::Record, options::Options, publisher::KafkaPublisher, shelf::Ticket};
use factum_app::message::{DeadMessage, PublishError, SettleError};
use tokio::sync::OnceCell;

const TOPIC: &str = "factum-topic";
const GROUP: &str = "factum-group";
const WHY: &str = "factum-why";
const ATTEMPTS: &str = "factum-attempts";
const PARTITION: &str = "factum-partition";
const OFFSET: &str = "factum-offset";
const OURS: [&str; 6] = [TOPIC, GROUP, WHY, ATTEMPTS, PARTITION, OFFSET];

/// How many bytes of a reason are kept, and how many all these headers may have.
const WHY_BYTES_MAX: usize = 4_096;
pub(crate) const HEADERS_BYTES_MAX: u64 = 8_192;

/// Where a subscription puts messages aside.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    options: Options,
    group: String,
    publisher: OnceCell<KafkaPublisher>,
}

/// A dead letter, as it is read from its topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The group that could not handle it.
    pub group: String,
    /// The partition where it was.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// What it is, and why it is here.
    pub message: DeadMessage,
}

impl DeadLetter {
    /// Of a record of a topic of dead letters; none, if it is something else.
    pub fn of(record: &impl rdkafka::Message) -> Option<Self> {
        let mut record = Record::taken(record);
        let header = |name: &str| {
            let (_, value) = record.headers.iter().find(|(header, _)| header == name)?;
            String::from_utf8(value.clone()).ok()
        };
        let number = |name: &str| header(name)?.parse::<i64>().ok();
        let (group, topic, why) = (header(GROUP)?, header(TOPIC)?, header(WHY)?);
        let attempts = u32::try_from(number(ATTEMPTS)?).ok()?;
        let (partition, offset) = (i32::try_from(number(PARTITION)?).ok()?, number(OFFSET)?);
        record.headers.retain(|(name, _)| !OURS.contains(&name.as_str()));
        let message = DeadMessage { topic, message: record.message(), why, attempts };
        Some(Self { group, partition, offset, message })
    }
}

impl DeadLetters {
    pub(crate) fn new(options: &Options, group: &str) -> Self {
        let max_bytes = options.max_bytes + HEADERS_BYTES_MAX;
        let options = Options { max_bytes, ..options.clone() };
        Self { options, group: group.to_owned(), publisher: OnceCell::new() }
    }

    pub(crate) fn topic(&self, topic: &str) -> String {
        format!("{topic}{}", self.options.dead_letters)
    }

    /// Confirmed by the broker, or not put aside.
    pub(crate) async fn put(&self, ticket: &Ticket, why: &str) -> Result<(), SettleError> {
        let open = || KafkaPublisher::connect(self.options.clone());
        let lost = |why: String| SettleError::Lost { why };
        let publisher = self.publisher.get_or_try_init(open).await;
        let publisher = publisher.map_err(|error| lost(error.to_string()))?;
        let topic = self.topic(&ticket.place.0);
        match publisher.put(&topic, &self.record(ticket, why)).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_retryable() => Err(lost(error.to_string())),
            Err(PublishError::Unroutable { why, .. }) => Err(SettleError::Unsupported {
                what: format!("put a message aside, as it has no place for it: {why}"),
            }),
            Err(error) => {
                Err(SettleError::Unsupported { what: format!("put a message aside: {error}") })
            }
        }
    }

    /// What is put aside.
    pub(crate) fn record(&self, ticket: &Ticket, why: &str) -> Record {
        let mut record = Record::clone(&ticket.pick.record);
        let (topic, partition) = &ticket.place;
        let end = why.floor_char_boundary(WHY_BYTES_MAX);
        let values = [
            topic.clone(),
            self.group.clone(),
            why.get(..end).unwrap_or_default().to_owned(),
            ticket.pick.attempt.to_string(),
            partition.to_string(),
            ticket.pick.offset.to_string(),
        ];
        // A dead letter that is put aside again has them already.
        record.headers.retain(|(name, _)| !OURS.contains(&name.as_str()));
        let values = values.map(String::into_bytes);
        record.headers.extend(OURS.map(str::to_owned).into_iter().zip(values));
        record
    }
}
