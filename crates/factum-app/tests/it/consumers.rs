//! The runner of consumers: in order, at least once, from a checkpoint, under a policy.

use crate::{
    away::Away,
    shop::{Cancel, OrderEvent, Place},
};
use factum_app::{
    App, Envelope, EventStore, MemoryStore, Position, RecordedEvent, StreamName, Uuid,
    consumer::{
        Commit, ConsumerHandle, EventError, Failure, Finally, Handler, OnError, Options, Progress,
        RunState, Spec, StartError,
    },
};
use factum_core::{Append, EventData, EventType};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What a test's consumer has on its disk, and what is to go wrong with it.
#[derive(Default)]
struct Disk {
    checkpoint: Position,
    handled: Vec<u64>,
    parked: Vec<(Position, String)>,
    staged: Vec<u64>,
    /// How often the event at this position still fails.
    failing: Vec<(u64, u32)>,
    panicking: Option<u64>,
    /// These calls of `commit` fail, before or after it is done.
    commits: u32,
    commit_fails: Option<(u32, bool)>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Disk>>);

impl Log {
    fn with<T>(&self, look: impl FnOnce(&mut Disk) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handler for Log {
    type Event = OrderEvent;

    async fn checkpoint(&mut self) -> Result<Position, Failure> {
        Ok(self.with(|disk| {
            disk.staged.clear();
            disk.checkpoint
        }))
    }

    async fn handle(&mut self, events: &[Envelope<OrderEvent>]) -> Result<(), Failure> {
        self.with(|disk| {
            let event = events.first().unwrap();
            let at = event.position().0;
            assert_ne!(disk.panicking, Some(at), "cannot bear {at}");
            if let Some((_, left)) = disk.failing.iter_mut().find(|(one, n)| *one == at && *n > 0) {
                *left -= 1;
                let event_type = event.recorded().event_type().as_str().into();
                return Err(Failure::Event(EventError {
                    position: event.position(),
                    event_type,
                    version: 1,
                    key: None,
                    retryable: true,
                    why: "no luck".into(),
                    newer: false,
                }));
            }
            disk.staged.push(at);
            Ok(())
        })
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.with(|disk| {
            disk.commits += 1;
            let fails = disk.commit_fails.filter(|(nth, _)| *nth == disk.commits);
            if fails.is_some_and(|(_, done)| !done) {
                return Err(Failure::away("before"));
            }
            let staged = std::mem::take(&mut disk.staged);
            disk.handled.extend(staged);
            disk.checkpoint = commit.through;
            if fails.is_some() {
                return Err(Failure::away("after"));
            }
            Ok(())
        })
    }

    async fn park(&mut self, event: &RecordedEvent, error: &EventError) -> Result<bool, Failure> {
        self.with(|disk| disk.parked.push((event.position(), error.to_string())));
        Ok(false)
    }
}

fn spec(options: impl Into<Options>) -> Spec {
    Spec::of::<OrderEvent>("log", 1, &options.into()).unwrap()
}

async fn start(store: impl EventStore, log: &Log, options: impl Into<Options>) -> App {
    let log = log.clone();
    App::builder(store).consume(spec(options), move |_| log).start().await.unwrap()
}

fn log_of(app: &App) -> ConsumerHandle {
    app.consumer("log").unwrap()
}

/// Waits, not longer than a test may take, until the consumer is so.
async fn until(consumer: &ConsumerHandle, so: impl FnMut(&Progress) -> bool) -> Progress {
    let mut progress = consumer.progress();
    let found = tokio::time::timeout(Duration::from_secs(5), progress.wait_for(so)).await;
    let found = found.unwrap_or_else(|_| panic!("still {:?}", consumer.progress().borrow()));
    found.unwrap().clone()
}

async fn through(app: &App, position: Position) -> Progress {
    until(&log_of(app), |progress| progress.through >= position).await
}

/// Orders 1 to `last` in a store.
async fn orders(last: u32) -> (MemoryStore, App) {
    let store = MemoryStore::new();
    let app = App::new(store.clone());
    for order in 1..=last {
        app.execute(Place { order, total: 1 }).await.unwrap();
    }
    (store, app)
}

async fn append(store: &MemoryStore, event_type: &str, data: &'static str) -> Position {
    let data = EventData::new(Uuid::from_u128(77), EventType::new(event_type).unwrap(), data);
    let append = Append::to(StreamName::new("order-77").unwrap(), [data]);
    store.append(append).await.unwrap().position
}

#[tokio::test]
async fn each_event_arrives_in_order_and_a_restart_goes_on() {
    let (store, commands) = orders(50).await;
    let log = Log::default();
    let app = start(store.clone(), &log, OnError::Stop).await;
    through(&app, Position(50)).await;
    app.stop().await;
    commands.execute(Cancel { order: 7 }).await.unwrap();
    assert_eq!(log.with(|disk| disk.handled.len()), 50);
    let app = start(store, &log, OnError::Stop).await;
    let progress = through(&app, Position(51)).await;
    assert_eq!(log.with(|disk| disk.handled.clone()), (1..=51).collect::<Vec<_>>());
    assert_eq!((progress.handled, progress.errors), (1, 0));
}

#[tokio::test]
async fn who_waits_is_told_though_nothing_matches() {
    let (store, _) = orders(1).await;
    let log = Log::default();
    let app = start(store.clone(), &log, Options::from(OnError::Stop).category("invoice")).await;
    through(&app, Position(1)).await;
    let position = append(&store, "somebody.called", "{}").await;
    through(&app, position).await;
    assert_eq!(log.with(|disk| disk.handled.len()), 0);
}

#[tokio::test]
async fn consumers_end_with_the_last_app() {
    let (store, _) = orders(1).await;
    let app = start(store, &Log::default(), OnError::Stop).await;
    let consumer = log_of(&app);
    until(&consumer, |progress| progress.caught_up).await;
    let clone = app.clone();
    drop(app);
    assert_eq!(consumer.progress().borrow().state, RunState::Running);
    drop(clone);
    until(&consumer, |progress| progress.state == RunState::Ended).await;
}

#[tokio::test]
async fn the_policy_stop_commits_what_came_before_and_resumes() {
    let (store, _) = orders(5).await;
    let log = Log::default();
    log.with(|disk| disk.failing.push((3, 1)));
    let app = start(store, &log, OnError::Stop).await;
    let stopped = |progress: &Progress| matches!(progress.state, RunState::Stopped { .. });
    let progress = until(&log_of(&app), stopped).await;
    assert_eq!(progress.through, Position(2));
    let error = progress.last_error.unwrap();
    assert_eq!(&*error, "event \"order.placed\" version 1 at position 3: no luck");
    assert_eq!(log.with(|disk| (disk.checkpoint, disk.handled.clone())), (Position(2), vec![1, 2]));
    let status = app.consumers().await.unwrap().remove(0);
    assert_eq!(status.lag.events, 3);
    log_of(&app).resume();
    through(&app, Position(5)).await;
    assert_eq!(log.with(|disk| disk.handled.clone()), [1, 2, 3, 4, 5]);
    assert_eq!(app.consumers().await.unwrap().remove(0).lag.events, 0);
}

#[tokio::test]
async fn the_policy_retry_tries_again_and_then_does_as_told() {
    let (store, _) = orders(5).await;
    for (fails, handled, parked) in [(2, vec![1, 2, 3, 4, 5], 0), (3, vec![1, 2, 4, 5], 1)] {
        let log = Log::default();
        log.with(|disk| disk.failing.push((3, fails)));
        let first = Duration::from_millis(1);
        let policy = OnError::Retry { attempts: 2, first, then: Finally::Park };
        let app = start(store.clone(), &log, policy).await;
        let progress = through(&app, Position(5)).await;
        assert_eq!(progress.errors, u64::from(fails));
        assert_eq!(log.with(|disk| (disk.handled.clone(), disk.parked.len())), (handled, parked));
    }
}

#[tokio::test]
async fn the_policy_skip_leaves_out_and_counts() {
    let (store, _) = orders(5).await;
    let log = Log::default();
    log.with(|disk| disk.panicking = Some(2));
    let app = start(store, &log, OnError::Skip).await;
    let progress = through(&app, Position(5)).await;
    assert_eq!((progress.skipped, progress.errors), (1, 1));
    assert!(progress.last_error.unwrap().contains("panicked"));
    assert_eq!(log.with(|disk| disk.handled.clone()), [1, 3, 4, 5]);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_named_and_not_tried_again() {
    let (store, _) = orders(1).await;
    append(&store, "order.placed", r#"{"order":"x"}"#).await;
    let log = Log::default();
    let app = start(store, &log, OnError::retry(1_000, Finally::Park)).await;
    let progress = through(&app, Position(2)).await;
    assert_eq!(progress.errors, 1);
    let (position, error) = log.with(|disk| disk.parked[0].clone());
    assert_eq!(position, Position(2));
    let expected = "event \"order.placed\" version 1 at position 2: its payload does not fit";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn what_is_newer_may_be_left_out() {
    let (store, _) = orders(1).await;
    let newer = EventData {
        metadata: r#"{"$schemaVersion":9}"#.into(),
        ..EventData::new(Uuid::from_u128(9), EventType::new("order.placed").unwrap(), "{}")
    };
    store.append(Append::to(StreamName::new("order-9").unwrap(), [newer])).await.unwrap();
    let stopped = |progress: &Progress| matches!(progress.state, RunState::Stopped { .. });
    let app = start(store.clone(), &Log::default(), OnError::Stop).await;
    until(&log_of(&app), stopped).await;
    let app = start(store, &Log::default(), Options::from(OnError::Stop).skip_newer()).await;
    assert_eq!(through(&app, Position(2)).await.skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_now_and_then_costs_nothing_but_time() {
    let (store, commands) = orders(100).await;
    for every in 3..9 {
        let log = Log::default();
        let app = start(Away::over(store.clone(), every), &log, OnError::Stop).await;
        let position = commands.execute(Cancel { order: every as u32 }).await.unwrap().position;
        through(&app, position).await;
        let handled = log.with(|disk| disk.handled.clone());
        assert_eq!(handled, (1..=position.0).collect::<Vec<_>>(), "every {every}");
    }
}

/// At every commit a crash before and one after it: nothing is lost and nothing committed twice.
#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_done_again_from_the_checkpoint() {
    let (store, _) = orders(50).await;
    for nth in 1..=2 {
        for done in [false, true] {
            let log = Log::default();
            log.with(|disk| disk.commit_fails = Some((nth, done)));
            let app = start(store.clone(), &log, OnError::Stop).await;
            through(&app, Position(50)).await;
            app.execute(Place { order: 1_000 + nth * 2 + u32::from(done), total: 1 })
                .await
                .unwrap();
            let head = store.head().await.unwrap();
            through(&app, head).await;
            let handled = log.with(|disk| disk.handled.clone());
            assert_eq!(handled, (1..=head.0).collect::<Vec<_>>(), "{nth} {done}");
            assert!(log.with(|disk| disk.commits > nth), "it failed at all");
        }
    }
}

#[tokio::test]
async fn a_paused_consumer_rests_until_it_is_resumed() {
    let (store, _) = orders(1).await;
    let log = Log::default();
    let app = start(store, &log, OnError::Stop).await;
    through(&app, Position(1)).await;
    let consumer = log_of(&app);
    consumer.pause().await;
    assert_eq!(consumer.progress().borrow().state, RunState::Paused);
    let receipt = app.execute(Place { order: 2, total: 1 }).await.unwrap();
    assert_eq!(consumer.status().await.unwrap().lag.events, 1);
    assert_eq!(log.with(|disk| disk.handled.len()), 1);
    consumer.resume();
    through(&app, receipt.position).await;
    assert_eq!(log.with(|disk| disk.handled.len()), 2);
}

#[tokio::test]
async fn two_consumers_of_one_name_do_not_start() {
    let builder = App::builder(MemoryStore::new());
    let builder = builder.consume(spec(OnError::Stop), |_| Log::default());
    let error = builder.consume(spec(OnError::Skip), |_| Log::default()).start().await;
    assert!(matches!(error, Err(StartError::Twice { .. })), "{error:?}");
}
