//! One command on its way to another service.

use super::{
    Answer, AskError, EXPIRES, KEY, REPLY_TO, Refused, Requests, answer::Told, feed::pause,
};
use crate::{
    Command, Metadata,
    consumer::{Either, race},
    message::{Message, Outgoing, PublishError},
    world::{BoxFuture, uuid_v7},
};
use factum_core::{Timestamp, Uuid};
use std::{future::IntoFuture, time::Duration};

/// A command for another service: `.await` sends it and waits for the answer, [`Ask::send`] does
/// not wait.
#[derive(Debug)]
#[must_use = "a command is sent when it is awaited"]
pub struct Ask<C> {
    requests: Requests,
    topic: String,
    command: C,
    key: Option<String>,
    within: Duration,
    expires: bool,
    reply_to: Option<String>,
    metadata: Metadata,
}

impl<C: Command> Ask<C> {
    pub(super) fn new(requests: Requests, topic: String, command: C) -> Self {
        let within = requests.inner().settings.within;
        Self {
            requests,
            topic,
            command,
            key: None,
            within,
            expires: true,
            reply_to: None,
            metadata: Metadata::default(),
        }
    }

    /// With a key: whoever asks again with the same one is answered as the first time. Without one
    /// it is this command alone, which the broker may deliver again.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Waits so long for the answer; and the command is not begun when it is over, by the other
    /// service's clock.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// It may be begun however late its turn comes, also when nobody waits any more.
    pub fn whenever(mut self) -> Self {
        self.expires = false;
        self
    }

    /// Its answer goes to another topic than that of these requests: for [`Ask::send`].
    pub fn reply_to(mut self, topic: impl Into<String>) -> Self {
        self.reply_to = Some(topic.into());
        self
    }

    /// With all of this known about it.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sends it, and waits for nothing but the broker. It may be begun whenever its turn comes. Its
    /// outcome is told to [`Ask::reply_to`], if that is given, as an event `command.answered`.
    ///
    /// # Errors
    ///
    /// It was not sent, or nobody knows.
    pub async fn send(mut self) -> Result<(), AskError> {
        self.expires = false;
        let (id, now) = self.drawn();
        let mut message = self.message(id, now)?;
        message.extensions.extend(self.reply_to.take().map(|topic| (REPLY_TO.to_owned(), topic)));
        let outgoing = [Outgoing::new(self.topic.clone(), message)];
        let mut last = None;
        match race(self.publish(&outgoing, &mut last), self.time_is_up()).await {
            Either::First(sent) => Ok(sent?),
            Either::Second(()) => Err(self.late(last)),
        }
    }

    async fn run(self) -> Result<Answer, AskError> {
        let inner = self.requests.inner();
        let (id, now) = self.drawn();
        let topic = self.reply_to.as_ref().unwrap_or(&inner.settings.reply_to);
        let message = self.message(id, now)?.with(REPLY_TO, topic.clone());
        let mut place = inner.waiting.enter(&message.id, inner.settings.waiting_max)?;
        let outgoing = [Outgoing::new(self.topic.clone(), message)];
        let mut last = None;
        let sent = async {
            // An answer may come though the broker never confirmed the question.
            match race(&mut place.answer, self.publish(&outgoing, &mut last)).await {
                Either::First(told) => Ok(told),
                Either::Second(Ok(())) => Ok((&mut place.answer).await),
                Either::Second(Err(error)) => Err(error),
            }
        };
        let told = match race(sent, self.time_is_up()).await {
            Either::First(told) => told?,
            Either::Second(()) => return Err(self.late(last)),
        };
        let deaf = |_| Err(AskError::Deaf { why: "nobody reads them".to_owned() });
        answer(told.unwrap_or_else(deaf)?)
    }

    fn time_is_up(&self) -> BoxFuture<'static, ()> {
        self.requests.inner().world.sleep(self.within)
    }

    /// Why nothing came of it in time: where it was never confirmed, because of that.
    fn late(&self, last: Option<PublishError>) -> AskError {
        last.map_or(AskError::TimedOut { within: self.within }, AskError::Publish)
    }

    /// Until the broker has confirmed it. It is the same message each time.
    async fn publish(
        &self,
        outgoing: &[Outgoing],
        last: &mut Option<PublishError>,
    ) -> Result<(), PublishError> {
        let inner = self.requests.inner();
        let mut attempt = 0;
        loop {
            let outcomes = inner.publisher.publish(outgoing).await;
            match outcomes.into_iter().find_map(Result::err) {
                None => {
                    *last = None;
                    return Ok(());
                }
                Some(error) if error.is_retryable() => *last = Some(error),
                Some(error) => return Err(error),
            }
            pause(&*inner.world, attempt).await;
            attempt += 1;
        }
    }

    fn drawn(&self) -> (Uuid, Timestamp) {
        let world = &self.requests.inner().world;
        let now = world.now();
        (uuid_v7(now, world.random(), world.random()), now)
    }

    fn message(&self, id: Uuid, now: Timestamp) -> Result<Message, AskError> {
        let command = self.command.name();
        let data = serde_json::to_vec(&self.command)
            .map_err(|source| AskError::Encode { command, source })?;
        let known = Metadata {
            correlation: self.metadata.correlation.or(Some(id)),
            ..self.metadata.clone()
        };
        let source = &self.requests.inner().settings.source;
        let mut message = Message::new(id.to_string(), source, command)
            .about(&known)
            .data("application/json", data);
        message.time = Some(now);
        let about = self.command.tag_values();
        message.key = about.first().map(|(tag, value)| format!("{tag}-{value}"));
        message.subject = about.into_iter().next().map(|(_, value)| value);
        message.extensions.extend(self.key.clone().map(|key| (KEY.to_owned(), key)));
        let nanos = i64::try_from(self.within.as_nanos()).unwrap_or(i64::MAX);
        let expires = Some(Timestamp(now.0.saturating_add(nanos))).filter(|_| self.expires);
        message.extensions.extend(expires.map(|at| (EXPIRES.to_owned(), at.to_string())));
        Ok(message)
    }
}

fn answer(told: Told) -> Result<Answer, AskError> {
    match told {
        Told::Done { receipt } => {
            let receipt = receipt.map(TryInto::try_into).transpose();
            let unreadable =
                |error: factum_core::InvalidName| AskError::Unreadable { why: error.to_string() };
            Ok(Answer::Done(receipt.map_err(unreadable)?))
        }
        Told::Nothing { why } => Ok(Answer::Nothing(why)),
        Told::Refused { why, data } => Ok(Answer::Refused(Refused { why, value: data })),
        Told::Expired => Err(AskError::Expired),
        Told::Misunderstood { why } => Err(AskError::Misunderstood { why }),
        Told::Failed { why } => Err(AskError::Failed { why }),
    }
}

impl<C: Command> IntoFuture for Ask<C> {
    type Output = Result<Answer, AskError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
