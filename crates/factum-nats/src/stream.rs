//! Streams: what one is to be like, how it is made, and what is wrong with one that is there.
//!
//! A stream that is there belongs to its operator: it is never changed, only checked, and whatever
//! would lose or repeat messages is named with its cure.

use crate::subject::{covers, subject};
use async_nats::jetstream::{
    Context,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType},
};
use std::time::Duration;

/// What a stream is to be like. What is not said is the server's default where it is made, and is
/// not looked at where it is there.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a stream is for Settings::stream"]
pub struct Stream {
    pub(crate) name: String,
    pub(crate) topics: Vec<String>,
    pub(crate) replicas: usize,
    memory: bool,
    retention: Retention,
    discard: Discard,
    window: Duration,
    max_bytes: Option<u64>,
    max_messages: Option<u64>,
    max_age: Option<Duration>,
    pub(crate) max_message_bytes: Option<u32>,
    per_subject: Option<u16>,
}

/// How long a stream keeps messages, besides its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retention {
    /// Up to its limits.
    #[default]
    Limits,
    /// Until every group that is there has acknowledged.
    Interest,
    /// Until acknowledged: one group a topic.
    WorkQueue,
}

/// What a full stream does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Discard {
    /// Refuses what is new: nothing is lost, publishers wait.
    #[default]
    New,
    /// Drops what is oldest, consumed or not.
    Old,
}

impl Stream {
    /// A stream of this name that takes these topics, on disk, on one server, with a window of two
    /// minutes in which a message that comes again is known.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            replicas: 1,
            memory: false,
            retention: Retention::Limits,
            discard: Discard::New,
            window: Duration::from_secs(120),
            max_bytes: None,
            max_messages: None,
            max_age: None,
            max_message_bytes: None,
            per_subject: None,
        }
    }

    /// On so many servers, at least: 3 outlive one of them.
    pub fn replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// In memory: what was confirmed is gone when its servers are. Otherwise such a stream is
    /// refused.
    pub fn in_memory(self) -> Self {
        Self { memory: true, ..self }
    }

    /// How long it keeps messages.
    pub fn retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// What it does when it is full.
    pub fn discard(self, discard: Discard) -> Self {
        Self { discard, ..self }
    }

    /// For how long, at least, it knows a message that comes again.
    pub fn duplicate_window(self, window: Duration) -> Self {
        Self { window, ..self }
    }

    /// At most so many bytes.
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }

    /// At most so many messages.
    pub fn max_messages(self, messages: u64) -> Self {
        Self { max_messages: Some(messages), ..self }
    }

    /// Messages older than this leave it.
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Messages of at least this size are taken, and no larger ones where it is made.
    pub fn max_message_bytes(self, bytes: u32) -> Self {
        Self { max_message_bytes: Some(bytes), ..self }
    }

    /// At most so many messages a subject, the newest.
    pub(crate) fn per_subject(self, messages: u16) -> Self {
        Self { per_subject: Some(messages), discard: Discard::Old, ..self }
    }

    /// Its configuration where it is made.
    pub(crate) fn config(&self, partitions: u16) -> Config {
        let limit = |limit: Option<u64>| limit.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let age = self.max_age.unwrap_or_default();
        // The server refuses a window that is longer than messages live.
        let window = if age.is_zero() { self.window } else { self.window.min(age) };
        Config {
            name: self.name.clone(),
            subjects: self.topics.iter().map(|of| subject(of, partitions, None)).collect(),
            num_replicas: self.replicas,
            storage: if self.memory { StorageType::Memory } else { StorageType::File },
            retention: match self.retention {
                Retention::Limits => RetentionPolicy::Limits,
                Retention::Interest => RetentionPolicy::Interest,
                Retention::WorkQueue => RetentionPolicy::WorkQueue,
            },
            discard: match self.discard {
                Discard::New => DiscardPolicy::New,
                Discard::Old => DiscardPolicy::Old,
            },
            duplicate_window: window,
            max_bytes: limit(self.max_bytes),
            max_messages: limit(self.max_messages),
            max_messages_per_subject: self.per_subject.map_or(-1, i64::from),
            max_age: age,
            max_message_size: self
                .max_message_bytes
                .map_or(-1, |bytes| i32::try_from(bytes).unwrap_or(i32::MAX)),
            ..Config::default()
        }
    }

    /// What is wrong with a stream that is there, if anything.
    fn wrong(&self, found: &Config, partitions: u16) -> Option<StreamError> {
        let name = self.name.clone();
        let wanted = self.topics.iter().map(|topic| subject(topic, partitions, None));
        let missing =
            |wanted: &String| !found.subjects.iter().any(|subject| covers(subject, wanted));
        if let Some(subject) = wanted.into_iter().find(missing) {
            return Some(StreamError::Subject { name, subject });
        }
        if found.storage == StorageType::Memory && !self.memory {
            return Some(StreamError::Memory { name });
        }
        if found.no_ack || found.sealed {
            return Some(StreamError::Unconfirmed { name });
        }
        if found.persist_mode == Some(PersistenceMode::Async) && !self.memory {
            return Some(StreamError::Asynchronous { name });
        }
        if found.num_replicas < self.replicas {
            let (found, wanted) = (found.num_replicas, self.replicas);
            return Some(StreamError::Replicas { name, found, wanted });
        }
        let taken = u32::try_from(found.max_message_size).ok().filter(|max| *max > 0);
        if let (Some(found), Some(wanted)) = (taken, self.max_message_bytes)
            && found < wanted
        {
            return Some(StreamError::MessageSize { name, found, wanted });
        }
        let wanted = self.config(partitions).duplicate_window;
        let found = found.duplicate_window;
        (found < wanted).then_some(StreamError::Window { name, found, wanted })
    }
}

/// Sees to a stream: makes it where that is asked for, and checks it where it is there.
pub(crate) async fn ensure(
    context: &Context,
    stream: &Stream,
    (create, partitions): (bool, u16),
) -> Result<Config, StreamError> {
    let name = || stream.name.clone();
    match context.get_stream(&stream.name).await {
        Ok(found) => {
            let config = found.cached_info().config.clone();
            stream.wrong(&config, partitions).map_or(Ok(config), Err)
        }
        Err(error) if is_missing(&error.kind()) => {
            let config = stream.config(partitions);
            if !create {
                let subjects = config.subjects.join(", ");
                return Err(StreamError::Missing { name: name(), subjects });
            }
            let made = context.create_stream(config).await;
            made.map(|made| made.cached_info().config.clone()).map_err(|error| match error.kind() {
                CreateStreamErrorKind::TimedOut => {
                    StreamError::Unavailable { name: name(), why: error.to_string() }
                }
                _ => StreamError::Create { name: name(), why: error.to_string() },
            })
        }
        Err(error) => Err(StreamError::Unavailable { name: name(), why: error.to_string() }),
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    use async_nats::jetstream::ErrorCode;
    match kind {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    }
}

/// What is wrong with a stream.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// It is not there. Make it, or have it made.
    #[error(
        "there is no stream {name:?}: make it with the subjects {subjects}, or let it be made \
         (Settings::create)"
    )]
    Missing {
        /// Which.
        name: String,
        /// What it is to take.
        subjects: String,
    },
    /// It does not take what is to be published. Add the subject; where the number of partitions
    /// differs, all programs need the same.
    #[error("the stream {name:?} does not take {subject:?}: add that to its subjects")]
    Subject {
        /// Which.
        name: String,
        /// What it does not take.
        subject: String,
    },
    /// It is in memory: what was confirmed is gone when its servers are. Make it anew on disk, or
    /// say that this is meant.
    #[error(
        "the stream {name:?} is in memory, so what was confirmed is lost with its servers: make it \
         with storage `file`, or say that it is meant (Stream::in_memory)"
    )]
    Memory {
        /// Which.
        name: String,
    },
    /// It confirms nothing: `no_ack` is set, or it is sealed. Change that.
    #[error("the stream {name:?} confirms nothing (no_ack), or is sealed: change that")]
    Unconfirmed {
        /// Which.
        name: String,
    },
    /// It confirms before it has written (`persist_mode: async`). Make it anew without.
    #[error(
        "the stream {name:?} confirms what it has not written yet: make it anew without \
         persist_mode `async`"
    )]
    Asynchronous {
        /// Which.
        name: String,
    },
    /// It is on too few servers.
    #[error("the stream {name:?} is on {found} servers, not on {wanted}: raise its replicas")]
    Replicas {
        /// Which.
        name: String,
        /// On how many it is.
        found: usize,
        /// How many there are to be.
        wanted: usize,
    },
    /// It takes only smaller messages.
    #[error(
        "the stream {name:?} takes messages of {found} bytes, not of {wanted}: raise max_msg_size"
    )]
    MessageSize {
        /// Which.
        name: String,
        /// What it takes, in bytes.
        found: u32,
        /// What it is to take, in bytes.
        wanted: u32,
    },
    /// It forgets too soon which messages it has: one that is sent again would be there twice.
    #[error(
        "the stream {name:?} knows a message that comes again for {found:?}, not for \
         {wanted:?}: raise its duplicate window"
    )]
    Window {
        /// Which.
        name: String,
        /// How long it knows one.
        found: Duration,
        /// How long it is to.
        wanted: Duration,
    },
    /// The server will not make it: what it says names the cure.
    #[error("the stream {name:?} cannot be made: {why}")]
    Create {
        /// Which.
        name: String,
        /// What the server said.
        why: String,
    },
    /// JetStream gives no answer: it is away, not switched on, or not for this account.
    #[error("JetStream says nothing of the stream {name:?}: {why}")]
    Unavailable {
        /// Which.
        name: String,
        /// What is known.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config), expect: Option<&str>) {
        let stream = Stream::new("s", ["a.>"]).replicas(3).max_message_bytes(1000);
        let mut config = stream.config(1);
        change(&mut config);
        let wrong = stream.wrong(&config, 1).map(|error| error.to_string());
        match expect {
            None => assert_eq!(wrong, None),
            Some(cure) => assert!(wrong.as_ref().is_some_and(|w| w.contains(cure)), "{wrong:?}"),
        }
    }

    #[test]
    fn what_would_lose_or_repeat_messages_is_named_with_its_cure() {
        check(|_| {}, None);
        check(|c| c.subjects = vec!["b.>".into(), "a.*".into()], Some("add that to its subjects"));
        check(|c| c.subjects = vec![">".into()], None);
        check(|c| c.storage = StorageType::Memory, Some("storage `file`"));
        check(|c| c.no_ack = true, Some("no_ack"));
        check(|c| c.persist_mode = Some(PersistenceMode::Async), Some("persist_mode"));
        check(|c| c.num_replicas = 1, Some("raise its replicas"));
        check(|c| c.max_message_size = 999, Some("raise max_msg_size"));
        check(|c| c.max_message_size = -1, None);
        check(|c| c.duplicate_window = Duration::from_secs(1), Some("raise its duplicate window"));
    }

    #[test]
    fn a_window_is_not_longer_than_messages_live() {
        let stream = Stream::new("s", ["a"]).max_age(Duration::from_secs(9));
        assert_eq!(stream.config(1).duplicate_window, Duration::from_secs(9));
        assert_eq!(stream.config(4).subjects, ["p4.*.a"]);
    }
}
