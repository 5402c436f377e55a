//! Commands between two services over NATS: answered with a receipt or a refusal, the same when the
//! service that is asked, and the server, are killed in between.

use crate::kit::{PATIENCE, name, nats};
use factum_app::{
    App, Ctx, Decision, MemoryStore, Outcome, State, TokioWorld, command, emit, ensure, event,
    message::{
        ReceiverState, Subscription,
        commands::{Answer, Answers, AskError, Requests},
    },
};
use factum_services::nats::Nats as Server;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[event("seat.taken")]
struct Taken {
    #[tag]
    seat: u32,
}

#[derive(Clone, Default)]
struct Seat {
    taken: bool,
}

impl State for Seat {
    type Event = Taken;

    fn evolve(self, _: &Taken) -> Self {
        Self { taken: true }
    }
}

#[command("seat.take")]
struct Take {
    #[tag]
    seat: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct AlreadyTaken;

impl Decision for Take {
    type State = Seat;
    type Refusal = AlreadyTaken;

    fn decide(&self, seat: &Seat, _: &Ctx) -> Outcome<Self> {
        ensure(!seat.taken, AlreadyTaken)?;
        emit(Taken { seat: self.seat })
    }
}

/// The service that is asked; it ends with its runtime, as if it were killed.
struct Theatre(Option<tokio::runtime::Runtime>);

impl Theatre {
    async fn start(url: &str, stream: &str, store: &MemoryStore) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (url, stream, store) = (url.to_owned(), stream.to_owned(), store.clone());
        let started = runtime.spawn(async move {
            let broker = Arc::new(nats(&url, &stream).await);
            let commands = Subscription::shared("theatre", [format!("{stream}.commands")]);
            let answers = Answers::new(broker.clone(), commands, broker).decision::<Take>();
            let app = App::builder(store).answer("seats", answers).start().await.unwrap();
            let mut answering = app.answering("seats").unwrap();
            answering.wait_for(|now| now.state == ReceiverState::Running).await.unwrap();
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(app);
            });
        });
        tokio::time::timeout(PATIENCE, started).await.unwrap().unwrap();
        Self(Some(runtime))
    }
}

impl Theatre {
    fn kill(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Theatre {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn ask(requests: &Requests, topic: &str, seat: u32, key: &str) -> Answer {
    let asking = async {
        loop {
            match requests.ask(topic, Take { seat }).key(key).within(PATIENCE / 6).whenever().await
            {
                Ok(answer) => return answer,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE * 4, asking).await.expect("it is answered")
}

fn is_refused(answer: &Answer) -> bool {
    let Answer::Refused(refused) = answer else { return false };
    refused.data::<AlreadyTaken>().unwrap() == AlreadyTaken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_done_once_whoever_is_killed() {
    let mut server = Server::start().unwrap();
    let (url, stream) = (server.url(), name());
    let store = MemoryStore::new();
    let broker = Arc::new(nats(&url, &stream).await);
    let world = Arc::new(TokioWorld::default());
    let requests = Requests::new("/till", format!("{stream}.answers"))
        .start(world, broker.clone(), broker)
        .await
        .unwrap();
    let topic = format!("{stream}.commands");
    let mut theatre = Theatre::start(&url, &stream, &store).await;
    let mut first = Vec::new();
    for round in 0..4 {
        let key = format!("take {round}");
        let asking = ask(&requests, &topic, round, &key);
        let disturbing = async {
            match round {
                0 => {}
                2 => {
                    server.kill9().unwrap();
                    server.restart().unwrap();
                }
                _ => {
                    theatre.kill();
                    theatre = Theatre::start(&url, &stream, &store).await;
                }
            }
        };
        let (answer, ()) = tokio::join!(asking, disturbing);
        let Answer::Done(Some(receipt)) = answer else { panic!("{answer:?}") };
        first.push(receipt);
        let other = ask(&requests, &topic, round, &format!("other {round}")).await;
        assert!(is_refused(&other), "{other:?}");
    }
    for (round, first) in (0..).zip(first) {
        let again = ask(&requests, &topic, round, &format!("take {round}")).await;
        let Answer::Done(Some(again)) = again else { panic!("{again:?}") };
        assert_eq!((again.position, again.ids, again.replayed), (first.position, first.ids, true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_nobody_does_in_time_is_not_begun_later() {
    let (url, stream) = (crate::kit::shared().url(), name());
    let store = MemoryStore::new();
    let broker = Arc::new(nats(&url, &stream).await);
    let world = Arc::new(TokioWorld::default());
    let answers = format!("{stream}.answers");
    let started = Requests::new("/till", answers).start(world, broker.clone(), broker);
    let requests = started.await.unwrap();
    let topic = format!("{stream}.commands");
    // So that the group is there, and what comes waits for it.
    drop(Theatre::start(&url, &stream, &store).await);
    let take = requests.ask(&topic, Take { seat: 1 }).key("k").within(Duration::from_secs(1));
    let late = take.await.unwrap_err();
    assert!(matches!(late, AskError::TimedOut { .. }), "{late:?}");
    let _theatre = Theatre::start(&url, &stream, &store).await;
    let again = requests.ask(&topic, Take { seat: 1 }).key("k").within(PATIENCE).await;
    assert!(matches!(again, Err(AskError::Expired)), "{again:?}");
}
