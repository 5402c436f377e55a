//! Commands of other services: what their senders hear, whatever is wrong; what is done once; what
//! comes too late. With kills and outages: the row `commands` of `factum-testkit`.

use super::placeless::{Placeless, REFUSE};
use factum_app::{
    App, Call, Command, Ctx, Decision, Dispatch, DispatchError, MemoryStore, Outcome, Reply, State,
    World, command, emit, ensure, event,
    message::{
        Consumer, MemoryBroker, MemoryLimits, Message, Outgoing, Publisher, ReceiverState,
        Subscription,
        commands::{Answer, Answers, AskError, Remote, Requests},
    },
};
use factum_core::StreamName;
use factum_testkit::SimWorld;
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[event("seat.taken")]
struct Taken {
    #[tag]
    seat: u32,
    by: String,
}

#[derive(Clone, Default)]
struct Seat {
    by: Option<String>,
}

impl State for Seat {
    type Event = Taken;

    fn evolve(self, event: &Taken) -> Self {
        Self { by: Some(event.by.clone()) }
    }
}

#[command("seat.take")]
struct Take {
    #[tag]
    seat: u32,
    by: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refusal {
    TakenBy(String),
}

impl Decision for Take {
    type State = Seat;
    type Refusal = Refusal;

    fn decide(&self, seat: &Seat, _: &Ctx) -> Outcome<Self> {
        let by = seat.by.clone();
        ensure(by.is_none(), Refusal::TakenBy(by.unwrap_or_default()))?;
        emit(Taken { seat: self.seat, by: self.by.clone() })
    }
}

/// One with an effect outside of the store.
#[command("mail.send")]
struct Mail {
    to: String,
}

static MAILS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

impl Dispatch for Mail {
    async fn dispatch(self, _: &App, call: Call) -> Result<Reply, DispatchError> {
        let mut mails = MAILS.lock().unwrap();
        let key = call.key.unwrap();
        let before = mails.iter().filter(|(_, to)| *to == self.to).count();
        mails.push((key, self.to.clone()));
        let error = |retryable| {
            Err(DispatchError { command: Self::NAME, retryable, source: "no server".into() })
        };
        match self.to.as_str() {
            "nobody" => error(false),
            "busy" => error(true),
            "slow" if before == 0 => error(true),
            to => Ok(if to == "refused" { Reply::Refused(to.into()) } else { Reply::Done }),
        }
    }
}

/// A command that only its sender knows.
#[command("seat.unknown")]
struct Unknown {}

/// One that has changed its shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Changed {
    chair: String,
}

impl Command for Changed {
    const NAME: &'static str = "seat.take";
}

struct Theatre {
    world: SimWorld,
    broker: MemoryBroker,
    app: App,
    requests: Requests,
}

fn theatre(seed: u64) -> Theatre {
    let world = SimWorld::new(seed);
    let limits = MemoryLimits { message_bytes_max: 100_000, ..MemoryLimits::default() };
    let broker = MemoryBroker::with(Arc::new(world.clone()), limits);
    let commands = Subscription::shared("seats", ["seats.#"]);
    let answers = Answers::new(broker.clone(), commands, broker.clone())
        .decision::<Take>()
        .command::<Mail>()
        .attempts_max(3);
    let (app, requests) = world.run(async {
        let app = App::builder(MemoryStore::with_clock(world.clock()))
            .world(Arc::new(world.clone()))
            .service("theatre", "1")
            .answer("seats", answers)
            .start()
            .await
            .unwrap();
        let mut answering = app.answering("seats").unwrap();
        answering.wait_for(|now| now.state == ReceiverState::Running).await.unwrap();
        let requests = Requests::new("/till", "till.answers").waiting_max(2);
        let started = requests.start(Arc::new(world.clone()), broker.clone(), broker.clone());
        (app, started.await.unwrap())
    });
    Theatre { world, broker, app, requests }
}

impl Theatre {
    fn run<F: IntoFuture>(&self, what: F) -> F::Output {
        self.world.run(what.into_future())
    }

    fn ask<C: Command>(&self, command: C) -> Result<Answer, AskError> {
        self.run(self.requests.ask("seats.commands", command))
    }

    fn take(&self, seat: u32, by: &str) -> Result<Answer, AskError> {
        self.ask(Take { seat, by: by.into() })
    }

    fn dead(&self) -> Vec<String> {
        self.broker.dead_letters("seats").into_iter().map(|one| one.why).collect()
    }
}

#[test]
fn a_command_is_answered_with_its_receipt_or_its_refusal() {
    let theatre = theatre(1);
    let Ok(Answer::Done(Some(receipt))) = theatre.take(7, "ann") else { panic!() };
    let stream = StreamName::new("seat-7").unwrap();
    assert_eq!(receipt.revision(&stream).unwrap().0, 0);
    assert!(!receipt.replayed);
    let stored = theatre.run(theatre.app.state::<Seat>(7)).unwrap();
    assert_eq!(stored.by.as_deref(), Some("ann"));
    let Ok(Answer::Refused(refused)) = theatre.take(7, "bob") else { panic!() };
    assert_eq!(refused.data::<Refusal>().unwrap(), Refusal::TakenBy("ann".into()));
    assert_eq!(refused.why, "TakenBy(\"ann\")");
    assert!(theatre.dead().is_empty());
    theatre.world.end();
}

#[test]
fn who_asks_again_with_the_same_key_is_answered_as_the_first_time() {
    let theatre = theatre(2);
    let ask = |seat, by: &str, key| {
        let take = Take { seat, by: by.into() };
        theatre.run(theatre.requests.ask("seats.commands", take).key(key))
    };
    let Ok(Answer::Done(Some(first))) = ask(1, "ann", "k1") else { panic!() };
    let Ok(Answer::Refused(_)) = ask(1, "bob", "k2") else { panic!() };
    // Free for whoever asks now: but this was refused, and its sender heard so.
    theatre.world.run(async {
        let stream = StreamName::new("seat-1").unwrap();
        let freed = factum_core::Change::Delete;
        factum_app::EventStore::change(theatre.app.store(), &stream, freed, None).await.unwrap();
    });
    let Ok(Answer::Refused(_)) = ask(1, "bob", "k2") else { panic!() };
    let Ok(Answer::Done(Some(again))) = ask(1, "ann", "k1") else { panic!() };
    assert!(again.replayed);
    assert_eq!((again.position, again.ids), (first.position, first.ids));
    theatre.world.end();
}

/// It was said not to have been begun, as its shape was looked at before its key.
#[test]
fn what_was_done_is_never_said_not_to_be_understood() {
    let theatre = theatre(9);
    let take = Take { seat: 1, by: "ann".into() };
    let Ok(Answer::Done(Some(first))) =
        theatre.run(theatre.requests.ask("seats.commands", take).key("k"))
    else {
        panic!()
    };
    let changed = Changed { chair: "1".into() };
    let again = theatre.run(theatre.requests.ask("seats.commands", changed).key("k"));
    let Ok(Answer::Done(Some(again))) = again else { panic!("{again:?}") };
    assert_eq!((again.ids, again.replayed), (first.ids, true));
    assert!(theatre.dead().is_empty());
    theatre.world.end();
}

/// Each ask waited its whole time, and said that it was over.
#[test]
fn where_answers_are_not_heard_any_more_whoever_asks_hears_why() {
    let theatre = theatre(10);
    theatre.world.run(async {
        let (broker, world) = (theatre.broker.clone(), Arc::new(theatre.world.clone()));
        let requests = Requests::new("/till", "deaf.answers");
        let consumer = Placeless::new(broker.clone());
        let requests = requests.start(world.clone(), broker.clone(), consumer).await.unwrap();
        let asking = requests.ask("nowhere", Unknown {}).within(Duration::from_secs(3_600));
        let (answer, answered) = tokio::sync::oneshot::channel();
        world.spawn(Box::pin(async move { answer.send(asking.await).unwrap() }));
        world.sleep(Duration::from_secs(1)).await;
        let before = world.now();
        broker.publish_raw("deaf.answers", Vec::new(), None, REFUSE.into()).unwrap();
        let waited = answered.await.unwrap();
        let later = requests.ask("nowhere", Unknown {}).await;
        for error in [waited.unwrap_err(), later.unwrap_err()] {
            let deaf = matches!(&error, AskError::Deaf { why } if why.contains("rights are gone"));
            assert!(deaf && !error.is_retryable(), "{error:?}");
        }
        assert!(world.now().0 - before.0 < 1_000_000_000);
    });
    theatre.world.end();
}

/// It was answered again and again, without a pause.
#[test]
fn where_nothing_can_be_put_aside_what_is_not_understood_is_answered_once() {
    let theatre = theatre(11);
    theatre.world.run(async {
        let world = Arc::new(theatre.world.clone());
        let commands = Subscription::shared("placeless", ["placeless"]);
        let consumer = Placeless::new(theatre.broker.clone());
        let acked = consumer.acked();
        let answers = Answers::new(consumer, commands, theatre.broker.clone()).command::<Mail>();
        let app = App::builder(MemoryStore::with_clock(theatre.world.clock())).world(world);
        let app = app.answer("placeless", answers).start().await.unwrap();
        let mut answering = app.answering("placeless").unwrap();
        answering.wait_for(|now| now.state == ReceiverState::Running).await.unwrap();
        theatre.broker.publish_raw("placeless", Vec::new(), None, "?".into()).unwrap();
        let ask = theatre.requests.ask("placeless", Unknown {});
        ask.reply_to("outcomes").send().await.unwrap();
        theatre.world.sleep(Duration::from_secs(60)).await;
        // The command is done with; what is no message waits for a place.
        assert_eq!(*acked.borrow(), 1);
        let now = answering.borrow().clone();
        assert_eq!((now.answered, now.put_aside), (1, 0));
        assert!(now.last_error.unwrap().contains("put aside"));
        app.stop().await;
    });
    theatre.world.end();
}

#[test]
fn what_is_not_understood_is_said_and_put_aside() {
    let theatre = theatre(3);
    let unknown = theatre.ask(Unknown {}).unwrap_err();
    assert!(matches!(&unknown, AskError::Misunderstood { why } if why.contains("seat.unknown")));
    let changed = theatre.ask(Changed { chair: "x".into() }).unwrap_err();
    assert!(matches!(&changed, AskError::Misunderstood { why } if why.contains("seat")));
    assert!(!changed.is_retryable());
    // What is no JSON, has no time, is no CloudEvent.
    let sent = |message: Message| {
        let outgoing = [Outgoing::new("seats.commands", message)];
        theatre.world.run(theatre.broker.publish(&outgoing)).remove(0).unwrap();
        theatre.world.run_for(Duration::from_secs(1));
    };
    sent(Message::new("1", "/x", "seat.take").data("text/plain", "7"));
    sent(Message::new("2", "/x", "seat.take").with("expirytime", "noon"));
    theatre.broker.publish_raw("seats.commands", Vec::new(), None, "?".into()).unwrap();
    theatre.world.run_for(Duration::from_secs(1));
    let dead = theatre.dead();
    assert_eq!(dead.len(), 5, "{dead:?}");
    let says = ["seat.unknown", "seat", "text/plain", "expirytime", "specversion"];
    for (why, part) in dead.iter().zip(says) {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
    assert_eq!(theatre.app.answering("seats").unwrap().borrow().put_aside, 5);
    theatre.world.end();
}

#[test]
fn a_command_with_an_effect_elsewhere_is_tried_again_and_answered_as_the_first_time() {
    let theatre = theatre(4);
    let mail = |to: &str| {
        let ask = theatre.requests.ask("seats.commands", Mail { to: to.into() });
        theatre.run(ask.key(to))
    };
    assert_eq!(mail("slow").unwrap(), Answer::Done(None));
    assert_eq!(mail("slow").unwrap(), Answer::Done(None));
    let Ok(Answer::Refused(refused)) = mail("refused") else { panic!() };
    assert_eq!((refused.why.as_str(), refused.value), ("refused", None));
    assert!(matches!(mail("nobody"), Err(AskError::Failed { why }) if why.contains("no server")));
    assert!(matches!(mail("busy"), Err(AskError::Failed { .. })));
    assert_eq!(theatre.dead().len(), 2);
    let mails = MAILS.lock().unwrap();
    let count = |of: &str| mails.iter().filter(|(_, to)| to == of).count();
    assert_eq!((count("slow"), count("nobody"), count("busy")), (2, 1, 3));
    assert!(mails.iter().all(|(key, to)| *key == format!("/till {to}")));
    theatre.world.end();
}

#[test]
fn what_has_expired_is_not_begun_and_a_late_answer_harms_nobody() {
    let theatre = theatre(5);
    let late = || {
        let take = Take { seat: 9, by: "ann".into() };
        theatre.requests.ask("seats.commands", take).key("late")
    };
    // A sender whose time is over before anybody looks.
    let timed_out = theatre.run(late().within(Duration::ZERO)).unwrap_err();
    assert!(matches!(timed_out, AskError::TimedOut { .. }) && timed_out.is_retryable());
    theatre.world.run_for(Duration::from_secs(1));
    // It was said then that it will not be begun, and so it is.
    let expired = theatre.run(late()).unwrap_err();
    assert!(matches!(expired, AskError::Expired), "{expired:?}");
    assert!(matches!(theatre.take(9, "bob"), Ok(Answer::Done(_))));
    theatre.world.end();
}

#[test]
fn an_answer_that_is_no_answer_says_so() {
    let theatre = theatre(6);
    theatre.world.run(async {
        let (broker, world) = (&theatre.broker, theatre.world.clone());
        let mut asked = broker.consume(Subscription::shared("odd", ["odd"])).await.unwrap();
        let asking = theatre.requests.ask("odd", Unknown {});
        let (answer, answered) = tokio::sync::oneshot::channel();
        world.spawn(Box::pin(async move { answer.send(asking.await).unwrap() }));
        let id = asked.next().await.unwrap().message.unwrap().id;
        let odd = Message::new("1", "/odd", "command.answered").with("inreplyto", id);
        let odd = odd.json(&serde_json::json!({ "outcome": "perhaps" }));
        broker.publish(&[Outgoing::new("till.answers", odd)]).await.remove(0).unwrap();
        let error = answered.await.unwrap().unwrap_err();
        assert!(matches!(&error, AskError::Unreadable { why } if why.contains("perhaps")));
    });
    theatre.world.end();
}

#[test]
fn what_cannot_be_sent_says_why() {
    let theatre = theatre(7);
    let large = theatre.take(1, &"x".repeat(100_000)).unwrap_err();
    assert!(matches!(large, AskError::Publish(_)) && !large.is_retryable(), "{large:?}");
    theatre.broker.go_away();
    let away = theatre.take(1, "ann").unwrap_err();
    assert!(matches!(away, AskError::Publish(_)) && away.is_retryable(), "{away:?}");
    theatre.world.run(async {
        let waiting = |by: &str| theatre.requests.ask("x", Take { seat: 1, by: by.into() });
        for by in ["ann", "bob"] {
            let asking = waiting(by);
            theatre.world.spawn(Box::pin(async move { drop(asking.await) }));
        }
        theatre.world.sleep(Duration::from_millis(1)).await;
        let full = waiting("eve").await.unwrap_err();
        assert!(matches!(full, AskError::Full { waiting_max: 2 }), "{full:?}");
    });
    // One that nobody does has left its place.
    theatre.world.run_for(Duration::from_secs(60));
    theatre.broker.come_back();
    theatre.world.run_for(Duration::from_secs(60));
    assert!(matches!(theatre.take(1, "ann"), Ok(Answer::Done(_))));
    theatre.world.end();
}

#[test]
fn a_remote_command_without_a_way_says_what_is_missing() {
    let theatre = theatre(8);
    let remote = Remote(Take { seat: 1, by: "ann".into() });
    let error = theatre.world.run(remote.dispatch(&theatre.app, Call::default())).unwrap_err();
    assert!(error.to_string().contains("builder.remote") && !error.retryable, "{error}");
    theatre.world.end();
}
