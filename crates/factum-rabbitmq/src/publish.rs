//! Publishing: each message is confirmed by the broker, or there is an error that says what is
//! known.
//!
//! Messages with one key are sent one after the other, each when the one before it is confirmed:
//! of two that are on their way together, the broker can refuse the first and keep the second. So a
//! batch goes in waves: the first message of each key, then the second of each.
//!
//! A call has a channel of its own for as long as it lasts. The broker returns a message that no
//! queue takes before it confirms it, yet the driver hands the return to whichever confirmation
//! comes next; within one channel and one wave they are matched again.

use std::collections::{HashMap, HashSet};

use factum_app::message::{Outgoing, PublishError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::{
    Channel, Confirmation,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Duration, Instant, sleep, timeout_at},
};

use crate::{
    binding::Encoded,
    client::Shared,
    error::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, Trouble, cure},
    topology::short,
};

/// So many calls publish at once, each on a channel of its own; more wait for their turn.
pub(crate) const CALLS_MAX: usize = 16;
/// How often it is looked whether the alarm that stops publishers is over.
const ALARM_PAUSE: Duration = Duration::from_millis(50);

/// Channels that confirm, for one call each.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) calls: Semaphore,
    pub(crate) channels: Mutex<Vec<Channel>>,
}

/// What is sent.
struct Sending<'a> {
    exchange: &'a str,
    topic: &'a str,
    encoded: Encoded,
    /// Some queue must take it.
    must_route: bool,
}

type Outcome = Result<(), PublishError>;

impl Shared {
    /// One outcome a message, in the order of the batch.
    pub(crate) async fn publish(&self, batch: &[Outgoing]) -> Vec<Outcome> {
        let end = Instant::now() + self.settings.publish_within;
        let Ok(Ok(_turn)) = timeout_at(end, self.pool.calls.acquire()).await else {
            let why = format!("{CALLS_MAX} calls that publish did not end within the limit");
            return batch.iter().map(|_| unavailable(&why)).collect();
        };
        let mut outcomes: Vec<Outcome> = batch.iter().map(|_| Ok(())).collect();
        let mut failed: HashSet<&str> = HashSet::new();
        let mut channel = None;
        for wave in waves(batch) {
            // A key's next message is not late because those before it were many.
            let end = Instant::now() + self.settings.publish_within;
            let mut sent = Vec::new();
            for at in wave {
                let (Some(outgoing), Some(outcome)) = (batch.get(at), outcomes.get_mut(at)) else {
                    continue;
                };
                let key = outgoing.message.key.as_deref();
                match key.filter(|key| failed.contains(key)) {
                    Some(key) => *outcome = Err(PublishError::Behind { key: key.to_owned() }),
                    None => match self.sending(outgoing) {
                        Ok(sending) => sent.push((at, sending)),
                        Err(error) => {
                            *outcome = Err(error);
                            failed.extend(key);
                        }
                    },
                }
            }
            let (places, sendings): (Vec<usize>, Vec<Sending>) = sent.into_iter().unzip();
            let found = self.send(&mut channel, &sendings, end).await;
            for (at, found) in places.into_iter().zip(found) {
                if found.is_err() {
                    failed.extend(batch.get(at).and_then(|one| one.message.key.as_deref()));
                }
                if let Some(outcome) = outcomes.get_mut(at) {
                    *outcome = found;
                }
            }
        }
        self.pool.channels.lock().await.extend(channel);
        outcomes
    }

    /// Puts a message into a queue itself, past the exchange.
    pub(crate) async fn put(&self, queue: &str, encoded: Encoded) -> Outcome {
        let end = Instant::now() + self.settings.publish_within;
        let sending = Sending { exchange: "", topic: queue, encoded, must_route: true };
        let mut channel = None;
        let found = self.send(&mut channel, &[sending], end).await;
        self.pool.channels.lock().await.extend(channel);
        found.into_iter().next().unwrap_or(Ok(()))
    }

    /// What is sent of a message, unless it is already known that the broker would not take it.
    fn sending<'a>(&'a self, outgoing: &'a Outgoing) -> Result<Sending<'a>, PublishError> {
        let encoded = Encoded::of(&outgoing.message, self.settings.mode);
        let (bytes, max) = (encoded.bytes(), self.settings.max_bytes);
        if bytes > max {
            return Err(PublishError::TooLarge { bytes, max });
        }
        if outgoing.topic.is_empty() {
            return Err(PublishError::Refused { why: "its topic is empty".to_owned() });
        }
        if let Err(Trouble::Refused { said, .. }) = short(&outgoing.topic) {
            return Err(PublishError::Refused { why: format!("its topic: {said}") });
        }
        let must_route = self.settings.must_route;
        let (exchange, topic) = (&self.settings.exchange, &outgoing.topic);
        Ok(Sending { exchange, topic, encoded, must_route })
    }

    /// Sends a wave and waits for its confirmations. The channel is taken away when it is not to be
    /// used again.
    async fn send(
        &self,
        slot: &mut Option<Channel>,
        wave: &[Sending<'_>],
        end: Instant,
    ) -> Vec<Outcome> {
        if wave.is_empty() {
            return Vec::new();
        }
        // First: where an alarm stops a connection, not even a channel can be made.
        if !self.wait_for_alarm(end).await {
            let why = "an alarm of the broker (memory or disk) stops publishers";
            return wave.iter().map(|_| unavailable(why)).collect();
        }
        let channel = match slot.take() {
            Some(channel) => Ok(channel),
            None => self.confirming(end).await,
        };
        let channel = match channel {
            Ok(channel) => channel,
            Err(Trouble::Away(why)) => return wave.iter().map(|_| unavailable(&why)).collect(),
            Err(Trouble::Refused { code, said }) => {
                let why = format!("{said}; {}", cure(code));
                return wave
                    .iter()
                    .map(|_| Err(PublishError::Refused { why: why.clone() }))
                    .collect();
            }
        };
        let confirmed = confirmations(&channel, wave, end).await;
        let outcomes = self.outcomes(wave, confirmed, end).await;
        let usable =
            |outcome: &Outcome| matches!(outcome, Ok(()) | Err(PublishError::Unroutable { .. }));
        // One whose confirmations may still come would be taken for those of the next wave.
        if outcomes.iter().all(usable) && channel.status().connected() {
            *slot = Some(channel);
        }
        outcomes
    }

    /// A channel that confirms: one that was used before, or a new one.
    async fn confirming(&self, end: Instant) -> Result<Channel, Trouble> {
        let mut channels = self.pool.channels.lock().await;
        while let Some(channel) = channels.pop() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        drop(channels);
        let channel = self.publishing.channel_until(end).await?;
        let select = channel.confirm_select(ConfirmSelectOptions::default());
        match timeout_at(end, select).await {
            Ok(outcome) => outcome.map(|()| channel).map_err(Trouble::from),
            Err(_) => Err(Trouble::Away("it does not answer within the limit".to_owned())),
        }
    }

    /// Whether there is no alarm, or it was over before this moment.
    async fn wait_for_alarm(&self, end: Instant) -> bool {
        while self.publishing.is_blocked() {
            if timeout_at(end, sleep(ALARM_PAUSE)).await.is_err() {
                return false;
            }
        }
        true
    }

    /// What is known of each message of a wave, when it is over.
    async fn outcomes(
        &self,
        wave: &[Sending<'_>],
        confirmed: Vec<Confirmed>,
        end: Instant,
    ) -> Vec<Outcome> {
        let blocked = self.publishing.is_blocked();
        let mut outcomes = Vec::with_capacity(wave.len());
        let mut returned = Vec::new();
        let mut lost_exchange = false;
        for (sending, confirmed) in wave.iter().zip(confirmed) {
            outcomes.push(match confirmed {
                None if blocked => {
                    unknown("an alarm of the broker (memory or disk) stops publishers")
                }
                None => unknown("no confirmation within the limit"),
                Some(Err(error)) => {
                    let trouble = Trouble::from(&error);
                    lost_exchange |= matches!(trouble, Trouble::Refused { code: NOT_FOUND, .. });
                    Err(failure(sending, trouble))
                }
                Some(Ok(confirmation)) => {
                    let outcome = match &confirmation {
                        Confirmation::Nack(_) => {
                            unknown("the broker did not keep it (nack): a queue is full, or failed")
                        }
                        Confirmation::NotRequested => unknown("the channel does not confirm"),
                        Confirmation::Ack(_) => Ok(()),
                    };
                    returned.extend(confirmation.take_message());
                    outcome
                }
            });
        }
        for (outcome, sending) in outcomes.iter_mut().zip(wave) {
            if outcome.is_ok()
                && let Some(message) = returned.iter().find(|one| is(one, sending))
            {
                let why = message.reply_text.to_string();
                *outcome = Err(PublishError::Unroutable { topic: sending.topic.to_owned(), why });
            }
        }
        if lost_exchange {
            // Whoever sends again finds it there; where this fails, that fails too, and says why.
            let _ = timeout_at(end, self.declare_exchange()).await;
        }
        outcomes
    }
}

/// What the broker said of a message; nothing, when the time was up.
type Confirmed = Option<lapin::Result<Confirmation>>;

/// Sends a wave; what has come of each when all are confirmed, or the time is up.
async fn confirmations(channel: &Channel, wave: &[Sending<'_>], end: Instant) -> Vec<Confirmed> {
    let mut confirmed: Vec<Confirmed> = wave.iter().map(|_| None).collect();
    let mut sent = FuturesUnordered::new();
    for (at, sending) in wave.iter().enumerate() {
        sent.push(confirmation(channel, at, sending));
    }
    while let Ok(Some((at, outcome))) = timeout_at(end, sent.next()).await {
        if let Some(place) = confirmed.get_mut(at) {
            *place = Some(outcome);
        }
    }
    confirmed
}

async fn confirmation(
    channel: &Channel,
    at: usize,
    sending: &Sending<'_>,
) -> (usize, lapin::Result<Confirmation>) {
    let mandatory = sending.must_route;
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let Encoded { properties, body } = &sending.encoded;
    let (exchange, topic) = (sending.exchange.into(), sending.topic.into());
    let sent = channel.basic_publish(exchange, topic, options, body, properties.clone()).await;
    let confirmed = match sent {
        Ok(confirmed) => confirmed.await,
        Err(error) => Err(error),
    };
    (at, confirmed)
}

fn is(message: &BasicReturnMessage, sending: &Sending<'_>) -> bool {
    message.delivery.routing_key.as_str() == sending.topic
        && message.delivery.properties == sending.encoded.properties
        && message.delivery.data == sending.encoded.body
}

/// The broker closed the channel; was it because of this message?
fn failure(sending: &Sending<'_>, trouble: Trouble) -> PublishError {
    let (code, said) = match trouble {
        Trouble::Away(why) => return PublishError::Unknown { why },
        Trouble::Refused { code, said } => (code, said),
    };
    let bytes = sending.encoded.body.len() as u64;
    let about_topic = said.contains("to topic '");
    match code {
        PRECONDITION_FAILED => match size_max(&said) {
            Some(max) if bytes > max => PublishError::TooLarge { bytes, max },
            _ => PublishError::Unknown { why: said },
        },
        ACCESS_REFUSED if !about_topic || said.contains(&format!("'{}'", sending.topic)) => {
            PublishError::Refused { why: format!("{said}; {}", cure(code)) }
        }
        _ => PublishError::Unknown { why: said },
    }
}

/// The broker's own limit, of `message size 70 is larger than configured max size 50`.
fn size_max(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("max size ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn unavailable(why: &str) -> Outcome {
    Err(PublishError::Unavailable { why: why.to_owned() })
}

fn unknown(why: &str) -> Outcome {
    Err(PublishError::Unknown { why: why.to_owned() })
}

/// Places in the batch, by wave: no two of one wave have the same key, and those of one key are in
/// the order of the batch.
fn waves(batch: &[Outgoing]) -> Vec<Vec<usize>> {
    let mut before: HashMap<&str, usize> = HashMap::new();
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (at, outgoing) in batch.iter().enumerate() {
        let wave = outgoing.message.key.as_deref().map_or(0, |key| {
            let count = before.entry(key).or_default();
            *count += 1;
            *count - 1
        });
        match waves.get_mut(wave) {
            Some(wave) => wave.push(at),
            None => waves.push(vec![at]),
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_app::message::Message;

    #[test]
    fn waves_keep_the_order_of_a_key() {
        let one = |key: Option<&str>| {
            let message = Message::new("1", "/a", "b");
            Outgoing::new("t", Message { key: key.map(str::to_owned), ..message })
        };
        let batch = [Some("a"), None, Some("a"), Some("b"), Some("a"), None].map(one);
        assert_eq!(waves(&batch), [vec![0, 1, 3, 5], vec![2], vec![4]]);
        assert!(waves(&[]).is_empty());
    }

    #[test]
    fn the_limit_of_the_broker_is_read_from_what_it_says() {
        let said = "PRECONDITION_FAILED - message size 70 is larger than configured max size 50";
        assert_eq!(size_max(said), Some(50));
        assert_eq!(size_max("PRECONDITION_FAILED - fast reply consumer does not exist"), None);
    }
}
