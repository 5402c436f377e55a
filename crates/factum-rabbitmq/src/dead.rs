//! Dead letters as people read them: what the group put aside, and what the broker did.
//!
//! RabbitMQ cannot look into a queue without taking: what is read here is taken and not
//! acknowledged, and goes back to where it was when the channel is closed.

use bytes::Bytes;
use factum_app::message::{ConsumeError, Malformed, Message};
use lapin::{
    BasicProperties, Channel,
    message::BasicGetMessage,
    options::BasicGetOptions,
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    RabbitMq,
    binding::{decode, integer, text},
    error::Trouble,
    settle::{DEAD_ATTEMPT, DEAD_TOPIC, DEAD_WHY},
    topology::{self, short},
};

/// How many dead letters are read at once, at most.
const READ_MAX: usize = 1_000;
/// Where RabbitMQ says why it put a message aside itself.
const BROKERS: &str = "x-death";

/// A message that was put aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Where it was published to.
    pub topic: String,
    /// The message; or what is there instead.
    pub message: Result<Message, Malformed>,
    /// Why it was put aside.
    pub why: String,
    /// How often it had been handed out; 0 where the broker does not say.
    pub attempts: u32,
}

impl RabbitMq {
    /// The oldest dead letters of a group, `max` at most (and 1,000). They stay where they are;
    /// two who read at once do not see the same.
    ///
    /// # Errors
    ///
    /// The broker is away, or knows no such group.
    pub async fn dead_letters(
        &self,
        group: &str,
        max: usize,
    ) -> Result<Vec<DeadLetter>, ConsumeError> {
        let end = Instant::now() + self.shared.settings.connect_within;
        let channel = self.shared.consuming.channel_until(end).await;
        let channel = channel.map_err(Trouble::consuming)?;
        let reading = timeout_at(end, read(&channel, group, max.min(READ_MAX)));
        let read = reading.await.unwrap_or_else(|_| {
            Err(Trouble::Away("it does not answer within the limit".to_owned()))
        });
        // Where this fails, the channel is closed, and all is back.
        let _ = timeout_at(end, channel.close(200, "read".into())).await;
        read.map_err(Trouble::consuming)
    }
}

async fn read(channel: &Channel, group: &str, max: usize) -> Result<Vec<DeadLetter>, Trouble> {
    let queue = topology::dead(group);
    let mut letters = Vec::new();
    while letters.len() < max {
        let got = channel.basic_get(short(&queue)?, BasicGetOptions::default()).await?;
        let Some(got) = got else { break };
        letters.push(letter(got));
    }
    Ok(letters)
}

fn letter(got: BasicGetMessage) -> DeadLetter {
    let (properties, body) = (got.delivery.properties, Bytes::from(got.delivery.data));
    let headers = properties.headers().as_ref();
    let own = |name| headers.and_then(|all| all.inner().get(name));
    let (topic, why, attempts) = match own(DEAD_WHY) {
        Some(why) => {
            let attempts = own(DEAD_ATTEMPT).and_then(integer).unwrap_or(0);
            (own(DEAD_TOPIC).and_then(text), text(why), attempts)
        }
        None => by_the_broker(&properties),
    };
    DeadLetter {
        topic: topic.unwrap_or_default(),
        message: decode(&properties, body),
        why: why.unwrap_or_default(),
        attempts: u32::try_from(attempts).unwrap_or(0),
    }
}

/// The topic and the reason, of the latest time that the broker put it aside.
fn by_the_broker(properties: &BasicProperties) -> (Option<String>, Option<String>, i64) {
    let headers = properties.headers().iter().flat_map(FieldTable::inner);
    let deaths = headers.filter(|(name, _)| name.as_str() == BROKERS);
    let latest = deaths.filter_map(|(_, deaths)| match deaths {
        AMQPValue::FieldArray(deaths) => deaths.as_slice().first(),
        _ => None,
    });
    let mut latest = latest.filter_map(|death| match death {
        AMQPValue::FieldTable(death) => Some(death.inner()),
        _ => None,
    });
    let Some(death) = latest.next() else { return (None, None, 0) };
    let value = |name: &str| death.get(&ShortString::from(name));
    let topic = match value("routing-keys") {
        Some(AMQPValue::FieldArray(topics)) => topics.as_slice().first().and_then(text),
        _ => None,
    };
    (topic, value("reason").and_then(text), 0)
}
