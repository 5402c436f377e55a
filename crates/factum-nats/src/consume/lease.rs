//! Who of a group has which lane: leases in a stream of their own, one message a lane, which the
//! server forgets when nobody renews it.
//!
//! A lease is taken and renewed under the condition that its last message is the one that is known
//! (`Nats-Expected-Last-Subject-Sequence`), so that of two who try one is refused. It spreads the
//! work; that a message is with one instance at a time does not hang on it alone: who takes over
//! waits for what the other had (`order.rs`).

use crate::{
    connect::Link,
    stream::{self, Stream, StreamError},
    subject::word,
};
use async_nats::{HeaderMap, Request, header, jetstream::Error as ServerSays};
use futures_util::StreamExt;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;

const STREAM: &str = "factum-groups";

/// The leases of a group in a stream.
pub(crate) struct Leases {
    link: Arc<Link>,
    /// `factum.groups.<stream>.<group>`
    base: String,
    me: String,
    /// How long one is good for.
    pub(crate) good_for: Duration,
    /// Under which number of the stream this instance is there.
    present: Option<u64>,
}

/// Who is there, and what is taken.
pub(crate) struct Seen {
    pub(crate) members: usize,
    pub(crate) taken: BTreeSet<usize>,
}

/// What came of an attempt to take or renew one.
pub(crate) enum Tried {
    /// It is held, under this number.
    Held(u64),
    /// Another has it.
    Lost,
    /// The server did not say.
    Unknown,
}

impl Leases {
    /// Sees to the stream of leases.
    pub(crate) async fn new(
        link: &Arc<Link>,
        (stream, group): (&str, &str),
        replicas: usize,
    ) -> Result<Self, StreamError> {
        let settings = &link.settings;
        let leases = Stream::new(STREAM, ["factum.groups.>"]).per_subject(1);
        let leases = leases.max_age(settings.lease).duplicate_window(Duration::ZERO);
        let leases = leases.replicas(if settings.create { replicas } else { 1 });
        let made = stream::ensure(&link.context, &leases, (settings.create, 1)).await;
        let found = match made {
            // Another made it at the same time, on fewer servers: that is no reason to stop.
            Err(StreamError::Replicas { .. }) => settings.lease,
            made => made?.max_age,
        };
        let id = link.client.new_inbox();
        Ok(Self {
            link: Arc::clone(link),
            base: format!("factum.groups.{}.{}", word(stream), word(group)),
            me: id.rsplit('.').next().unwrap_or(&id).to_owned(),
            good_for: if found.is_zero() { settings.lease } else { found },
            present: None,
        })
    }

    /// Where all of the group are told that something has changed.
    pub(crate) fn bell(&self) -> String {
        format!("factum.bell.{}", self.base)
    }

    pub(crate) async fn ring(&self) {
        // Who does not hear it looks up by himself.
        let _ = self.link.client.publish(self.bell(), "".into()).await;
    }

    /// Says that this instance is there.
    pub(crate) async fn present(&mut self) {
        if let Tried::Held(number) = self.put(&format!("m.{}", self.me), None).await {
            self.present = Some(number);
        }
    }

    /// Says that it is not.
    pub(crate) async fn leave(&mut self) {
        if let Some(number) = self.present.take() {
            self.remove(number).await;
        }
    }

    pub(crate) async fn take(&self, lane: usize) -> Tried {
        self.put(&format!("l.{lane}"), Some(0)).await
    }

    pub(crate) async fn renew(&self, lane: usize, number: u64) -> Tried {
        self.put(&format!("l.{lane}"), Some(number)).await
    }

    /// Gives one back. It is removed by its number: if it is another's by now, that stays.
    pub(crate) async fn remove(&self, number: u64) {
        if !self.link.connected(Duration::ZERO).await {
            return;
        }
        let Ok(stream) = self.link.context.get_stream_no_info(STREAM).await else { return };
        // What cannot be removed ends by itself.
        let _ = timeout(self.good_for, stream.delete_message(number)).await;
    }

    /// Who is there, and what is taken; nothing if the server does not say.
    pub(crate) async fn look(&self) -> Option<Seen> {
        let filter = format!("{}.>", self.base);
        let looking = async {
            let stream = self.link.context.get_stream_no_info(STREAM).await.ok()?;
            let mut subjects = stream.info_with_subjects(filter).await.ok()?;
            let mut seen = Seen { members: 0, taken: BTreeSet::new() };
            while let Some(subject) = subjects.next().await {
                let (subject, _) = subject.ok()?;
                let mut words = subject.rsplit('.');
                match (words.next(), words.next()) {
                    (Some(lane), Some("l")) => seen.taken.extend(lane.parse::<usize>()),
                    (Some(_), Some("m")) => seen.members += 1,
                    _ => {}
                }
            }
            Some(seen)
        };
        timeout(self.good_for / 4, looking).await.ok().flatten()
    }

    async fn put(&self, what: &str, expected: Option<u64>) -> Tried {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_EXPECTED_STREAM, STREAM);
        if let Some(expected) = expected {
            headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        }
        let request = Request::new().payload(self.me.clone().into()).headers(headers);
        let request = request.timeout(Some(self.good_for / 4));
        let subject = format!("{}.{what}", self.base);
        let Ok(answer) = self.link.client.send_request(subject, request).await else {
            return Tried::Unknown;
        };
        match serde_json::from_slice::<Answer>(&answer.payload) {
            Ok(Answer { seq: Some(number), error: None }) => Tried::Held(number),
            Ok(Answer { error: Some(error), .. }) if error.code() == 400 => Tried::Lost,
            _ => Tried::Unknown,
        }
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    seq: Option<u64>,
    error: Option<ServerSays>,
}
