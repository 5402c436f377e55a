//! Dead letters: messages as they were, in a stream of their own, with headers that say why.

use crate::{
    Nats,
    binding::{self, Wire},
    connect::{Link, described},
    consume::desk::Parcel,
    subject::{self, word},
};
use async_nats::header::{self, HeaderMap, HeaderName};
use factum_app::message::{Malformed, Message, PublishError, SettleError};

const GROUP: &str = "factum-dead-group";
const TOPIC: &str = "factum-dead-topic";
const WHY: &str = "factum-dead-why";
const ATTEMPTS: &str = "factum-dead-attempts";
const STREAM: &str = "factum-dead-stream";
const SEQUENCE: &str = "factum-dead-sequence";
/// How long a reason is kept, in bytes.
const WHY_MAX: usize = 2000;
/// How many dead letters are read at once, at most.
const READ_MAX: usize = 1000;

/// A message that was put aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Where it was published to.
    pub topic: String,
    /// The message; or what is there instead.
    pub message: Result<Message, Malformed>,
    /// Why it was put aside.
    pub why: String,
    /// How often it had been handed out.
    pub attempts: u32,
    /// Its place in the stream of dead letters.
    pub sequence: u64,
}

/// The subject of a group's dead letters of a topic, or of all of its topics.
fn subject_of(link: &Link, group: &str, topic: &str) -> String {
    let first = link.settings.dead_letters.topics.first().map_or("", String::as_str);
    let prefix = first.trim_end_matches(['*', '>']).trim_end_matches('.');
    format!("{prefix}.{}.{topic}", word(group))
}

/// Puts a message aside, once: when that is tried again, the server knows it.
pub(crate) async fn put(
    link: &Link,
    group: &str,
    parcel: &Parcel,
    why: &str,
) -> Result<(), SettleError> {
    let topic = subject::topic(&parcel.subject, link.settings.partitions);
    let mut wire = Wire::of(parcel);
    wire.headers = without_the_servers(&wire.headers);
    let place = &parcel.place;
    let why = why.get(..why.floor_char_boundary(WHY_MAX)).unwrap_or_default();
    for (name, value) in [
        (GROUP, group.to_owned()),
        (TOPIC, topic.to_owned()),
        (WHY, why.to_owned()),
        (ATTEMPTS, place.attempt.to_string()),
        (STREAM, place.stream.clone()),
        (SEQUENCE, place.place.to_string()),
    ] {
        wire.set(name, &binding::encode(&value));
    }
    let id = format!("{}#{}#{}", word(group), place.stream, place.place);
    wire.set(header::NATS_MESSAGE_ID.as_ref(), &id);
    let stream = &link.settings.dead_letters.name;
    wire.set(header::NATS_EXPECTED_STREAM.as_ref(), stream);
    match link.put(topic, subject_of(link, group, topic), wire).await {
        Ok(()) => Ok(()),
        Err(PublishError::Unroutable { .. }) => Err(SettleError::Unsupported {
            what: format!(
                "put messages aside: there is no stream {stream:?} for dead letters; make it, or \
                 let it be made (Settings::create)"
            ),
        }),
        Err(error) => Err(SettleError::Lost { why: error.to_string() }),
    }
}

/// Headers that are the sender's: those that tell the server what to do are not to be obeyed again.
fn without_the_servers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        if !text.to_ascii_lowercase().starts_with("nats-") {
            values.iter().for_each(|value| kept.append(name.clone(), value.clone()));
        }
    }
    kept
}

impl Nats {
    /// The oldest dead letters that a group has, of a topic or of those of a pattern, `max` at most
    /// (and 1,000). Reading takes none away.
    ///
    /// # Errors
    ///
    /// What the server said: there is no stream for dead letters, or no connection.
    pub async fn dead_letters(
        &self,
        group: &str,
        topic: &str,
        max: usize,
    ) -> Result<Vec<DeadLetter>, String> {
        let link = &self.link;
        let stream = link.context.get_stream(&link.settings.dead_letters.name).await;
        let stream = stream.map_err(|error| described(&error))?;
        let subject = subject_of(link, group, topic);
        let mut letters = Vec::new();
        let mut from = 1;
        while letters.len() < max.min(READ_MAX) {
            let next = stream.raw_message_builder().sequence(from);
            let next = next.next_by_subject(subject.clone()).send().await;
            let message = match next {
                Ok(message) => message,
                Err(error) if is_end(&error) => break,
                Err(error) => return Err(described(&error)),
            };
            from = message.sequence + 1;
            letters.push(letter(&message));
        }
        Ok(letters)
    }
}

fn is_end(error: &async_nats::jetstream::stream::RawMessageError) -> bool {
    use async_nats::jetstream::stream::RawMessageErrorKind as Kind;
    matches!(error.kind(), Kind::NoMessageFound)
}

fn letter(message: &async_nats::jetstream::message::StreamMessage) -> DeadLetter {
    let text = |name: &'static str| {
        let value = message.headers.get(HeaderName::from_static(name));
        value.map(|value| binding::decode(value.as_str())).unwrap_or_default()
    };
    DeadLetter {
        topic: text(TOPIC),
        message: binding::read(Some(&message.headers), &message.payload),
        why: text(WHY),
        attempts: text(ATTEMPTS).parse().unwrap_or_default(),
        sequence: message.sequence,
    }
}
