//! One lane at work: asks the server for as many messages as there is room for, and sees to it that
//! none is lost, and none comes too early.
//!
//! The client's own streams of messages are not used: a batch of theirs is never woken again after
//! a heartbeat (async-nats 0.51), and what was asked for is not known after an error.

use super::desk::{Desk, Room, parcel};
use super::order::Known;
use crate::{
    connect::{Link, described},
    subject::takes,
};
use async_nats::{
    Message as Arrived, StatusCode, Subject, Subscriber, jetstream::Error as ServerSays,
    jetstream::ErrorCode,
};
use factum_app::message::ConsumeError;
use futures_util::{FutureExt, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// How long the server keeps a request for messages.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often it says that it still has the request, where there are no messages.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// After so long without a sign, the request is taken to be lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The pause before the server is asked again, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the server is asked while something is on its way again.
const LOOK: Duration = Duration::from_millis(100);
/// How much later than it is due the server gives out again what nobody is at work on.
const DUE: Duration = Duration::from_millis(500);
/// How many of those that are on their way again are asked for at once, at most.
const MISSING_MAX: usize = 1000;
/// How long what is on its way after the last request is waited for.
const REST: Duration = Duration::from_secs(1);

/// Which consumer a lane is, and what of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    /// Where the server cannot choose: what is for here.
    pub(crate) patterns: Vec<String>,
}

/// Why a lane ended by itself.
pub(crate) enum Gone {
    /// The consumer or its stream is not there any more.
    Consumer(String),
}

pub(crate) struct Lane {
    link: Arc<Link>,
    desk: Arc<Desk>,
    number: u64,
    plan: Plan,
    inbox: Subject,
    /// How many messages the server still owes.
    asked: usize,
    heard: Instant,
    pause: Duration,
    not_before: Instant,
    /// While something is on its way again: since when the server says the same of it.
    behind: Option<(Instant, Option<Known>)>,
    /// How few were on their way again when they were last asked for, and when to ask anyway.
    missing: Option<(u64, Instant)>,
    touched: Instant,
    /// Where what is to be sent back is settled, as soon as there is a connection.
    back: Vec<Subject>,
    /// The same of what was here over another connection, as soon as the consumer answers: before
    /// that it may have no leader, and nobody hears.
    back_then: Vec<Subject>,
}

/// How a lane ended.
pub(crate) struct Ended {
    pub(crate) unsettled: u64,
    pub(crate) gone: Option<Gone>,
    /// From where a new consumer would have to begin.
    pub(crate) from: Option<u64>,
}

impl Lane {
    pub(crate) fn new(link: &Arc<Link>, desk: &Arc<Desk>, plan: Plan) -> Self {
        let number = desk.open(*link.signals.connections.borrow());
        let now = Instant::now();
        Self {
            link: Arc::clone(link),
            desk: Arc::clone(desk),
            number,
            plan,
            inbox: link.client.new_inbox().into(),
            asked: 0,
            heard: now,
            pause: PAUSE,
            not_before: now,
            behind: None,
            missing: None,
            touched: now,
            back: Vec::new(),
            back_then: Vec::new(),
        }
    }

    /// Works until it is told to stop, and for how long it may wait then for what handlers have.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<Option<Duration>>) -> Ended {
        let mut connections = self.link.signals.connections.subscribe();
        let gone = match self.link.client.subscribe(self.inbox.clone()).await {
            Ok(mut subscriber) => {
                let worked = self.work(&mut subscriber, &mut connections, &mut stop).await;
                if worked.is_ok() {
                    self.rest(&mut subscriber).await;
                }
                worked.err()
            }
            Err(error) => Some(Gone::Consumer(described(&error))),
        };
        let limit = stop.borrow().unwrap_or_default();
        if gone.is_none() {
            self.wait_for_handlers(&mut connections, limit).await;
        }
        let from = self.desk.with(self.number, |lane| lane.order.from()).flatten();
        let unsettled = self.desk.handed(Some(self.number));
        self.back.append(&mut self.back_then);
        self.back.extend(self.desk.close(self.number));
        self.send_back().await;
        Ended { unsettled: u64::try_from(unsettled).unwrap_or(u64::MAX), gone, from }
    }

    async fn work(
        &mut self,
        subscriber: &mut Subscriber,
        connections: &mut watch::Receiver<u64>,
        stop: &mut watch::Receiver<Option<Duration>>,
    ) -> Result<(), Gone> {
        let desk = Arc::clone(&self.desk);
        self.catch_up().await?;
        while stop.borrow().is_none() {
            let mut room = std::pin::pin!(desk.room.notified());
            room.as_mut().enable();
            self.send_back().await;
            self.ask().await;
            let look_up = self.look_up_at();
            tokio::select! {
                biased;
                _ = stop.changed() => {}
                _ = connections.changed() => self.reconnected(connections),
                arrived = subscriber.next() => self.arrived(arrived, subscriber).await?,
                () = room => {}
                () = sleep_until(look_up) => self.look_up(),
            }
            self.catch_up().await?;
            self.touch().await;
        }
        Ok(())
    }

    /// Asks for as many messages as there is room for, one request at a time.
    async fn ask(&mut self) {
        if self.asked > 0 || Instant::now() < self.not_before {
            return;
        }
        let room = self.room();
        if room == 0 {
            return;
        }
        let request = serde_json::json!({
            "batch": room,
            "expires": nanos(EXPIRES),
            "idle_heartbeat": nanos(HEARTBEAT),
        });
        let Plan { stream, consumer, .. } = &self.plan;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let (inbox, request) = (self.inbox.clone(), request.to_string());
        let sent = self.link.client.publish_with_reply(subject, inbox, request.into()).await;
        if sent.is_ok() {
            (self.asked, self.heard) = (room, Instant::now());
        } else {
            self.ask_later();
        }
    }

    /// What is on its way again is given before what is newer, but only when it is due: so it is
    /// asked for once at the beginning, again when some of it has come, and when all of it must be
    /// due.
    fn room(&mut self) -> usize {
        match self.desk.room_of(self.number) {
            Room::For(room) => room,
            Room::None => 0,
            Room::ForMissing(missing) => {
                let (fewest, at) = self.missing.unwrap_or((u64::MAX, Instant::now()));
                if missing >= fewest && Instant::now() < at {
                    return 0;
                }
                let due = Instant::now() + self.link.settings.ack_wait + DUE;
                self.missing = Some((missing, due));
                usize::try_from(missing).unwrap_or(usize::MAX).min(MISSING_MAX)
            }
        }
    }

    fn ask_later(&mut self) {
        self.asked = 0;
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Takes what arrived, and all that is there with it.
    async fn arrived(
        &mut self,
        first: Option<Arrived>,
        subscriber: &mut Subscriber,
    ) -> Result<(), Gone> {
        let mut next = first;
        while let Some(arrived) = next {
            self.one(arrived).await?;
            next = subscriber.next().now_or_never().flatten();
        }
        Ok(())
    }

    async fn one(&mut self, arrived: Arrived) -> Result<(), Gone> {
        self.heard = Instant::now();
        match arrived.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return Ok(()),
            // The request was kept for as long as was asked for.
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                self.asked = 0;
                return Ok(());
            }
            Some(status) => {
                self.ask_later();
                let why = arrived.description.unwrap_or_default();
                let text = why.to_ascii_lowercase();
                let deleted = text.contains("consumer deleted") || text.contains("stream deleted");
                return match deleted || status == StatusCode::NO_RESPONDERS {
                    true => self.see_whether_it_is_there().await,
                    false => Ok(()),
                };
            }
        }
        let Some((parcel, reply)) = parcel(arrived) else { return Ok(()) };
        (self.asked, self.pause) = (self.asked.saturating_sub(1), PAUSE);
        let at = (parcel.place.delivery, parcel.place.place);
        let patterns = &self.plan.patterns;
        if patterns.is_empty() || patterns.iter().any(|of| takes(of, &parcel.subject)) {
            self.desk.with(self.number, |lane| lane.order.arrived(at, parcel, reply));
        } else {
            self.desk.with(self.number, |lane| lane.order.skipped(at.0));
            self.link.mention(reply, "+ACK").await;
        }
        Ok(())
    }

    /// What handlers have, and what is here for them, is not theirs over another connection: all of
    /// it comes again, in order.
    fn reconnected(&mut self, connections: &mut watch::Receiver<u64>) {
        let connection = *connections.borrow_and_update();
        let back = self.desk.with(self.number, |lane| {
            lane.connection = connection;
            lane.order.forget()
        });
        self.back_then.extend(back.unwrap_or_default());
        (self.asked, self.pause) = (0, PAUSE);
        self.behind = None;
    }

    async fn send_back(&mut self) {
        let dropped = std::mem::take(&mut self.desk.lock().dropped);
        self.back.extend(dropped);
        if self.back.is_empty() || !self.link.connected(Duration::ZERO).await {
            return;
        }
        for reply in std::mem::take(&mut self.back) {
            self.link.mention(reply, "-NAK").await;
        }
    }

    /// When there is something to do though nothing happens.
    fn look_up_at(&self) -> Instant {
        let touch = self.touched + self.touch_every();
        let behind = self.behind.map(|_| Instant::now() + LOOK);
        let silent = match self.asked {
            0 => self.not_before.max(Instant::now() + PAUSE),
            _ => self.heard + SILENCE_MAX,
        };
        let back = (!self.back.is_empty()).then(|| Instant::now() + LOOK);
        [Some(touch), behind, Some(silent), back].into_iter().flatten().min().unwrap_or(touch)
    }

    fn look_up(&mut self) {
        if self.asked > 0 && self.heard.elapsed() >= SILENCE_MAX {
            self.ask_later();
        }
    }

    /// Asks the server whether something is on its way again, until nothing is.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        let even = self.desk.with(self.number, |lane| lane.order.is_even());
        if even != Some(false) || !self.link.connected(Duration::ZERO).await {
            (self.behind, self.missing) = (None, None);
            return Ok(());
        }
        let known = self.info().await?;
        let (since, before) = *self.behind.get_or_insert((Instant::now(), known));
        if known.is_none() || known != before {
            self.behind = Some((Instant::now(), known));
        }
        let Some(known) = known else { return Ok(()) };
        self.back.append(&mut self.back_then);
        self.send_back().await;
        // By then the server has given again whatever nobody is at work on.
        let give_up = known == before.unwrap_or(known) && since.elapsed() > self.give_up_after();
        self.desk.with(self.number, |lane| match give_up {
            true => lane.order.give_up(),
            false => lane.order.learn(known),
        });
        Ok(())
    }

    fn give_up_after(&self) -> Duration {
        self.link.settings.ack_wait * 2 + SILENCE_MAX
    }

    /// What the server says of the consumer; nothing if it says nothing.
    async fn info(&self) -> Result<Option<Known>, Gone> {
        let Plan { stream, consumer, .. } = &self.plan;
        let subject = format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}");
        let answer = self.link.client.request(subject, "".into());
        let Ok(Ok(answer)) = timeout(SILENCE_MAX, answer).await else { return Ok(None) };
        let Ok(answer) = serde_json::from_slice::<Info>(&answer.payload) else { return Ok(None) };
        match answer {
            Info { error: Some(error), .. } => match error.error_code() {
                ErrorCode::CONSUMER_NOT_FOUND | ErrorCode::STREAM_NOT_FOUND => {
                    Err(Gone::Consumer(error.to_string()))
                }
                _ => Ok(None),
            },
            Info { error: None, num_ack_pending: pending, delivered } => {
                Ok(Some(Known { pending, newest: delivered.stream_seq }))
            }
        }
    }

    async fn see_whether_it_is_there(&self) -> Result<(), Gone> {
        self.info().await.map(|_| ())
    }

    fn touch_every(&self) -> Duration {
        self.link.settings.ack_wait / 3
    }

    /// Tells the server that what is here is being worked on. All of it at once, in the order of
    /// the stream, so that the server gives it out in that order if this is the last sign of life.
    async fn touch(&mut self) {
        if self.touched.elapsed() < self.touch_every() {
            return;
        }
        self.touched = Instant::now();
        let replies = self.desk.with(self.number, |lane| lane.order.replies());
        for reply in replies.unwrap_or_default() {
            self.link.mention(reply, "+WPI").await;
        }
    }

    /// Asks for no more, takes what is still on its way, and sends back what no handler has.
    async fn rest(&mut self, subscriber: &mut Subscriber) {
        if self.link.connected(Duration::ZERO).await && subscriber.drain().await.is_ok() {
            while let Ok(Some(arrived)) = timeout(REST, subscriber.next()).await {
                if self.one(arrived).await.is_err() {
                    break;
                }
            }
        }
        let waiting = self.desk.with(self.number, |lane| lane.order.send_back_waiting());
        self.back.extend(waiting.unwrap_or_default());
        self.send_back().await;
    }

    async fn wait_for_handlers(&mut self, connections: &mut watch::Receiver<u64>, limit: Duration) {
        let desk = Arc::clone(&self.desk);
        let until = Instant::now() + limit;
        loop {
            let mut room = std::pin::pin!(desk.room.notified());
            room.as_mut().enable();
            if desk.handed(Some(self.number)) == 0 || Instant::now() >= until {
                return;
            }
            let look_up = self.look_up_at().min(until);
            tokio::select! {
                () = room => {}
                _ = connections.changed() => self.reconnected(connections),
                () = sleep_until(look_up) => {}
            }
            self.touch().await;
        }
    }
}

/// What the server says of a consumer.
#[derive(serde::Deserialize)]
struct Info {
    error: Option<ServerSays>,
    #[serde(default)]
    num_ack_pending: u64,
    #[serde(default)]
    delivered: Delivered,
}

#[derive(serde::Deserialize, Default)]
struct Delivered {
    stream_seq: u64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Gone {
    /// What whoever waits for a message is told.
    pub(crate) fn error(self, group: &str, plan: &Plan) -> ConsumeError {
        let Self::Consumer(said) = self;
        let Plan { stream, consumer, .. } = plan;
        let why = format!(
            "the consumer {consumer:?} of the stream {stream:?}, which is the group {group:?}, is \
             not there any more ({said}): subscribe again, and it is made anew"
        );
        ConsumeError::Refused { why }
    }
}
