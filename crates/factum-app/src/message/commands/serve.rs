//! Who is asked: takes commands from a broker, has each answered, tells the answer, acknowledges.
//!
//! What must hold: a command is acknowledged when its answer is durable and the broker has the
//! message that tells it; what is left in between comes again, and is answered as the first time.
//! Commands with one key are done one after the other; a slow or broken one holds up no other key.

use super::{
    ANSWERED, Answers, IN_REPLY_TO,
    answer::{Spoken, Told},
    asked::Asked,
    desk::{self, Desk},
    feed::{Feed, pause},
};
use crate::{
    App, AppBuilder,
    consumer::{Either, Stop, race},
    message::{
        Delivered, Message, Outgoing, ReceiverState, SettleError,
        kept::{self, Kept},
    },
    planted::{Bug, is_on},
};
use factum_core::{EventStore, InvalidName};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// When what is no command is looked at again, where the broker has no place for dead letters.
const NO_PLACE: Duration = Duration::from_secs(10);
/// The longest pause after one could not be put aside: it came back at once.
const LOST_PAUSE: Duration = Duration::from_secs(1);

/// What is known of one who answers commands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answering {
    /// What it does.
    pub state: ReceiverState,
    /// How many commands were answered since the app started, those that came again included.
    pub answered: u64,
    /// How many were put aside at the broker: no command that is known, or one that failed. Where
    /// it has no place for them, `last_error` says so.
    pub put_aside: u64,
    /// How many answers nobody takes: there is no such topic any more.
    pub unheard: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// One who was registered.
#[derive(Debug)]
pub(crate) struct Answerer {
    name: String,
    answers: Answers,
    status: watch::Sender<Answering>,
    /// What waits behind the command with its key that is being done.
    lanes: Mutex<HashMap<String, VecDeque<Delivered>>>,
    /// What was answered, or is no command, and comes again as the broker has no place for it.
    kept: Kept,
}

impl AppBuilder {
    /// Answers commands that other services send, under a pinned name. Each is done once in effect,
    /// however often it comes; whoever sent it hears what became of it, the same each time.
    ///
    /// Needs a store with query conditions; otherwise it stops, and says so
    /// ([`App::answering`]). An answer is remembered for as long as the store keeps the facts of
    /// the command, or the note in `$answers.NAME-notes`: set `$maxAge` there, longer than a
    /// command may be sent again.
    ///
    /// See [`commands`](super) for an example.
    pub fn answer(mut self, name: impl Into<String>, answers: Answers) -> Self {
        self.answerers.push(Answerer {
            name: name.into(),
            answers,
            status: watch::Sender::default(),
            lanes: Mutex::default(),
            kept: Kept::default(),
        });
        self
    }
}

impl App {
    /// What is known of one who answers commands, and whatever changes of it; `None` where none has
    /// this name.
    #[must_use]
    pub fn answering(&self, name: &str) -> Option<watch::Receiver<Answering>> {
        let mut all = self.answerers().iter();
        all.find(|one| one.name == name).map(|one| one.status.subscribe())
    }
}

impl Answerer {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether notes have a place under this name.
    pub(crate) fn check(&self) -> Result<(), InvalidName> {
        desk::stream(&self.name).map(drop)
    }

    fn enter(&self, state: ReceiverState) {
        self.status.send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        });
    }

    fn count(&self, change: impl FnOnce(&mut Answering)) {
        self.status.send_modify(change);
    }

    fn failed(&self, why: String) {
        self.count(|status| status.last_error = Some(why));
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Delivered>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes commands until the app ends.
    pub(crate) async fn run(self: Arc<Self>, app: App, stop: Stop) {
        if !app.store().capabilities().query_checks {
            let why = "the store knows no query conditions, so that nothing would be done once: \
                       answer commands over another store";
            self.enter(ReceiverState::Stopped { why: why.to_owned() });
            return stop.asked().await;
        }
        let Answers { consumer, subscription, .. } = self.answers.clone();
        let mut feed = Feed::new(app.world().clone(), consumer, subscription);
        loop {
            let next = feed.next(|state| self.enter(state));
            match race(stop.asked(), next).await {
                Either::First(()) => break,
                Either::Second(Ok(delivered)) => self.put(&app, &stop, delivered),
                // It has said so.
                Either::Second(Err(_)) => return stop.asked().await,
            }
        }
        feed.close(self.answers.close).await;
        self.enter(ReceiverState::Ended);
    }

    /// Begins with it, or puts it behind what has its key.
    fn put(self: &Arc<Self>, app: &App, stop: &Stop, delivered: Delivered) {
        let key = delivered.message.as_ref().ok();
        let key = key.map(|one| one.key.clone().unwrap_or_else(|| format!("\n{}", one.id)));
        let key = key.unwrap_or_default();
        match self.waiting().entry(key.clone()) {
            Entry::Occupied(mut lane) => return lane.get_mut().push_back(delivered),
            Entry::Vacant(lane) => drop(lane.insert(VecDeque::from([delivered]))),
        }
        let lane = Lane { of: self.clone(), app: app.clone(), stop: stop.clone() };
        app.world().spawn(Box::pin(lane.run(key)));
    }

    /// What is next with a key. With none the lane ends; at the end of the app what waits is sent
    /// back.
    fn next(&self, key: &str, stop: &Stop) -> Option<Delivered> {
        let mut lanes = self.waiting();
        let next = lanes.get_mut(key).and_then(VecDeque::pop_front);
        let next = next.filter(|_| !stop.is_asked());
        if next.is_none() {
            lanes.remove(key);
        }
        next
    }
}

/// Commands with one key.
struct Lane {
    of: Arc<Answerer>,
    app: App,
    stop: Stop,
}

impl Lane {
    async fn run(self, key: String) {
        while let Some(delivered) = self.of.next(&key, &self.stop) {
            self.one(delivered).await;
        }
    }

    async fn one(&self, delivered: Delivered) {
        if self.of.kept.comes_again(&delivered) {
            // A command was answered; of what is none nobody was told, and it waits for a place.
            let _ = match delivered.message.is_ok() {
                true => delivered.ack().await,
                false => delivered.send_back(NO_PLACE).await,
            };
            return;
        }
        let asked = match &delivered.message {
            Ok(message) => Asked::of(message),
            Err(malformed) => {
                let why = malformed.why.clone();
                self.of.failed(why.clone());
                return self.put_aside(delivered, &why).await;
            }
        };
        // Left as it is, it comes again.
        let Some(told) = self.answered(&asked).await else { return };
        if is_on(Bug::AckBeforeAnswer) {
            drop(delivered.ack().await);
            let _ = self.tell(&asked, &told).await;
            return;
        }
        if !self.tell(&asked, &told).await {
            return;
        }
        self.of.count(|status| status.answered += 1);
        match told.trouble() {
            Some(why) => self.put_aside(delivered, why).await,
            // Where the broker does not know, it comes again, and is answered as before.
            None => drop(delivered.ack().await),
        }
    }

    /// Its answer; none at the end of the app.
    async fn answered(&self, asked: &Asked) -> Option<Told> {
        let desk = Desk { app: &self.app, answers: &self.of.answers, name: &self.of.name };
        let attempts_max = self.of.answers.attempts_max;
        let mut given_up: Option<Told> = None;
        for attempt in 0.. {
            let found = match &given_up {
                None => desk.answer(asked).await,
                // What failed last may have been done all the same, or before.
                Some(failed) => desk.unless_done(asked, failed.clone()).await,
            };
            let trouble = match found {
                Ok(told) => return Some(told),
                Err(trouble) => trouble,
            };
            self.of.failed(format!("{}: {}", asked.name, trouble.why));
            let over = !trouble.retryable || attempt + 1 >= attempts_max;
            if over && given_up.is_none() {
                given_up = Some(Told::Failed { why: trouble.why });
                continue;
            }
            if !trouble.retryable {
                return given_up;
            }
            let pause = pause(&**self.app.world(), attempt);
            if let Either::First(()) = race(self.stop.asked(), pause).await {
                return None;
            }
        }
        None
    }

    /// Whether it was told, or nobody waits for it; not so at the end of the app.
    async fn tell(&self, asked: &Asked, told: &Told) -> bool {
        let Some(topic) = &asked.reply_to else { return true };
        let outgoing = [Outgoing::new(topic.clone(), self.message(asked, told))];
        for attempt in 0.. {
            let outcomes = self.of.answers.publisher.publish(&outgoing).await;
            let Some(error) = outcomes.into_iter().find_map(Result::err) else { return true };
            self.of.failed(format!("the answer to {}: {error}", asked.name));
            if !error.is_retryable() || asked.has_expired(self.app.world().now()) {
                self.of.count(|status| status.unheard += 1);
                return true;
            }
            let pause = pause(&**self.app.world(), attempt);
            if let Either::First(()) = race(self.stop.asked(), pause).await {
                return false;
            }
        }
        false
    }

    fn message(&self, asked: &Asked, told: &Told) -> Message {
        let ctx = self.app.context(&asked.call.metadata);
        let source = match self.app.service_name() {
            Some(service) => format!("/{service}/{}", self.of.name),
            None => format!("/{}", self.of.name),
        };
        let spoken = Spoken { command: &asked.name, key: &asked.key, told };
        let mut message = Message::new(ctx.id().to_string(), source, ANSWERED)
            .with(IN_REPLY_TO, asked.id.clone())
            .about(ctx.metadata())
            .json(&serde_json::to_value(spoken).expect("texts are JSON"));
        message.subject = Some(asked.name.clone());
        message.time = Some(ctx.now());
        message
    }

    /// To the broker's dead letters. Where it has no place for them, it comes again, and is known.
    async fn put_aside(&self, delivered: Delivered, why: &str) {
        let id = kept::id(&kept::bytes(&delivered));
        let error = match delivered.dead_letter(why).await {
            Ok(()) => return self.of.count(|status| status.put_aside += 1),
            Err(error) => error,
        };
        self.of.failed(format!("it could not be put aside: {error}"));
        match error {
            SettleError::Unsupported { .. } => self.of.kept.remember(id),
            // It came back at once.
            SettleError::Lost { .. } => {
                race(self.stop.asked(), self.app.pause(0, LOST_PAUSE, LOST_PAUSE)).await;
            }
        }
    }
}
