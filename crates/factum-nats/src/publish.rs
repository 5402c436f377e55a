//! Publishing: each message is sent until it is confirmed, or the limit is reached.
//!
//! Messages with one key go one after the other, those of different keys side by side. The server
//! keeps order within a connection, but refuses one and takes the next where a leader changes or a
//! limit is met, so nothing less keeps them in order. Sending again is safe: the server knows the
//! message by its id for as long as the stream's duplicate window.

use crate::{
    Nats,
    binding::{self, Wire},
    connect::{Link, described},
    subject::{self, covers, wrong_topic},
};
use async_nats::{
    Message as Answered, Request, RequestErrorKind, header,
    jetstream::{Error as ServerSays, ErrorCode},
};
use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use futures_util::{StreamExt, stream};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// How many messages of one call are on their way at a time, each of another key.
const IN_FLIGHT_MAX: usize = 512;
/// The pause before the server is asked again, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often nothing must be there for a subject before that is believed: a server that starts may
/// not know its streams yet.
const UNROUTABLE_AFTER: u32 = 3;

impl Publisher for Nats {
    /// The server's `max_payload`, or what the smallest of the settings' streams takes.
    fn max_bytes(&self) -> u64 {
        let streams = self.link.settings.streams.iter();
        let of_streams = streams.filter_map(|stream| stream.max_message_bytes).map(u64::from).min();
        let payload = self.link.client.server_info().max_payload;
        of_streams.unwrap_or(u64::MAX).min(u64::try_from(payload).unwrap_or(u64::MAX))
    }

    /// Each message has as long as [`Settings::within`](crate::Settings::within) says.
    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let mut chains = BTreeMap::<_, Vec<_>>::new();
            for (at, outgoing) in batch.iter().enumerate() {
                // Without a key it is in order with nothing.
                let key = outgoing.message.key.as_deref().ok_or(at);
                chains.entry(key).or_default().push((at, outgoing));
            }
            let chains = chains.into_values().map(|chain| self.chain(chain)).collect::<Vec<_>>();
            let mut outcomes = stream::iter(chains).buffer_unordered(IN_FLIGHT_MAX).concat().await;
            outcomes.sort_unstable_by_key(|(at, _)| *at);
            outcomes.into_iter().map(|(_, outcome)| outcome).collect()
        })
    }
}

type Outcome = (usize, Result<(), PublishError>);

impl Nats {
    /// Messages with one key, in order; those behind one that failed are not sent.
    fn chain<'a>(&'a self, chain: Vec<(usize, &'a Outgoing)>) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(chain.len());
            let mut failed = false;
            for (at, outgoing) in chain {
                let outcome = match &outgoing.message.key {
                    Some(key) if failed => Err(PublishError::Behind { key: key.clone() }),
                    _ => self.one(outgoing).await,
                };
                failed |= outcome.is_err();
                outcomes.push((at, outcome));
            }
            outcomes
        })
    }

    async fn one(&self, outgoing: &Outgoing) -> Result<(), PublishError> {
        let (topic, settings) = (&outgoing.topic, &self.link.settings);
        if let Some(why) = wrong_topic(topic) {
            let why = format!("{topic:?} is no subject to publish to: {why}");
            return Err(PublishError::Refused { why });
        }
        let mut wire = binding::write(&outgoing.message, settings.mode).map_err(|name| {
            let why = format!("the attribute {name:?} is not of lower-case letters and digits");
            PublishError::Refused { why }
        })?;
        let mut streams = settings.streams.iter();
        let meant = streams.find(|stream| stream.topics.iter().any(|of| covers(of, topic)));
        if let Some(stream) = meant {
            wire.set(header::NATS_EXPECTED_STREAM.as_ref(), &stream.name);
        }
        let (bytes, max) = (u64::try_from(wire.len()).unwrap_or(u64::MAX), self.max_bytes());
        if bytes > max {
            return Err(PublishError::TooLarge { bytes, max });
        }
        let partition = subject::partition(&outgoing.message, settings.partitions);
        let subject = subject::subject(topic, settings.partitions, Some(partition));
        self.link.put(topic, subject, wire).await
    }
}

/// What one attempt came to, where it was not the end.
enum Again {
    /// It is certainly not there, or a copy of it is being written.
    Not(String),
    /// It may be there.
    Unknown(String),
    /// Nothing takes its subject.
    Nobody,
}

impl Link {
    /// Sends until the server confirms, or the limit is reached.
    pub(crate) async fn put(
        &self,
        topic: &str,
        subject: String,
        wire: Wire,
    ) -> Result<(), PublishError> {
        let until = Instant::now() + self.settings.within;
        let (mut pause, mut unknown, mut nobody) = (PAUSE, false, 0);
        let mut last = String::from("there is no connection");
        loop {
            if !self.connected(until.saturating_duration_since(Instant::now())).await {
                return Err(ended(unknown, last));
            }
            match self.attempt(&subject, &wire, until).await? {
                None => return Ok(()),
                Some(Again::Unknown(why)) => (unknown, last) = (true, why),
                Some(Again::Not(why)) => last = why,
                Some(Again::Nobody) => {
                    last = self.nobody(&subject, &mut nobody).await;
                    if nobody >= UNROUTABLE_AFTER {
                        return Err(PublishError::Unroutable {
                            topic: topic.to_owned(),
                            why: last,
                        });
                    }
                }
            }
            if Instant::now() + pause >= until {
                return Err(ended(unknown, last));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends once, and waits for the answer: until the limit, or until the connection is another,
    /// for then no answer comes.
    async fn attempt(
        &self,
        subject: &str,
        wire: &Wire,
        until: Instant,
    ) -> Result<Option<Again>, PublishError> {
        let mut connections = self.signals.connections.subscribe();
        let mut denials = self.signals.denials.subscribe();
        let request = Request::new().payload(wire.payload.clone()).headers(wire.headers.clone());
        let request = request.timeout(None);
        let answer = self.client.send_request(subject.to_owned(), request);
        let mut answer = std::pin::pin!(timeout_at(until, answer));
        loop {
            tokio::select! {
                answer = &mut answer => return match answer {
                    Ok(Ok(answer)) => self.judge(&answer, wire).await,
                    Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                        Ok(Some(Again::Nobody))
                    }
                    Ok(Err(error)) => Ok(Some(Again::Unknown(described(&error)))),
                    Err(_) => Ok(Some(Again::Unknown("no answer within the limit".into()))),
                },
                _ = connections.changed() => {
                    return Ok(Some(Again::Unknown("the connection was lost".into())));
                }
                _ = denials.changed() => {
                    if self.signals.take_denied(subject) {
                        let why = format!("this user may not publish to {subject:?}: grant it");
                        return Err(PublishError::Refused { why });
                    }
                }
            }
        }
    }

    /// What the server's answer means.
    async fn judge(&self, answer: &Answered, wire: &Wire) -> Result<Option<Again>, PublishError> {
        let Ok(answer) = serde_json::from_slice::<Answer>(&answer.payload) else {
            let why = "what answered is not JetStream: another program listens on this subject";
            return Err(PublishError::Refused { why: why.into() });
        };
        let error = match answer {
            Answer { error: None, stream: Some(_) } => return Ok(None),
            Answer { error: None, stream: None } => {
                let why = "what answered is not JetStream: another program listens on this subject";
                return Err(PublishError::Refused { why: why.into() });
            }
            Answer { error: Some(error), .. } => error,
        };
        match error.error_code() {
            ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => Ok(Some(Again::Not(error.to_string()))),
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => {
                let bytes = u64::try_from(wire.len()).unwrap_or(u64::MAX);
                Err(PublishError::TooLarge { bytes, max: self.taken(wire, bytes).await })
            }
            ErrorCode::STREAM_NOT_MATCH => {
                let why = "its topic belongs to another stream than the settings say: correct them";
                Err(PublishError::Refused { why: why.into() })
            }
            // Full, or without a leader: the server says 503 of both.
            _ if error.code() >= 500 => Err(PublishError::Unavailable { why: error.to_string() }),
            _ => Err(PublishError::Refused { why: error.to_string() }),
        }
    }

    /// What the stream takes of which the server says that the message is too large for it.
    async fn taken(&self, wire: &Wire, bytes: u64) -> u64 {
        let unknown = bytes.saturating_sub(1);
        let Some(name) = wire.headers.get(header::NATS_EXPECTED_STREAM) else { return unknown };
        match self.context.get_stream(name.as_str()).await {
            Ok(stream) => {
                u64::try_from(stream.cached_info().config.max_message_size).unwrap_or(unknown)
            }
            Err(_) => unknown,
        }
    }

    /// Whether a stream takes this subject, of which the server says that nobody listens: then it
    /// has no leader at the moment. Counts how often there was none.
    async fn nobody(&self, subject: &str, counted: &mut u32) -> String {
        use async_nats::jetstream::context::GetStreamByNameErrorKind as Kind;
        match self.context.stream_by_subject(subject).await {
            Ok(stream) => format!("the stream {stream:?} has no leader at the moment"),
            Err(error) => {
                *counted += u32::from(matches!(error.kind(), Kind::NotFound));
                format!("no stream takes {subject:?}: {}", described(&error))
            }
        }
    }
}

/// An answer of JetStream to a message.
#[derive(serde::Deserialize)]
struct Answer {
    stream: Option<String>,
    error: Option<ServerSays>,
}

fn ended(unknown: bool, why: String) -> PublishError {
    if unknown { PublishError::Unknown { why } } else { PublishError::Unavailable { why } }
}
