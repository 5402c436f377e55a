//! What leaves the service: thin, mapped, or the whole state; at least once, in order, and nothing
//! that was not mapped.

use crate::gaps::{Gap, Gaps};
use factum_app::{
    AnyStore, App, Ctx, Decision, Envelope, Event, EventStore, MemoryStore, Metadata, OnError,
    Outcome, Publication, State, Upcast, command,
    consumer::Finally,
    data, emit, event,
    event::Decoded,
    events,
    message::{Message, Outgoing, PublishError, Publisher},
    process::minutes,
    publication::ReceiveError,
    world::BoxFuture,
};
use factum_core::{Query, Read};
use factum_testkit::SimWorld;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

#[events]
enum LampEvent {
    #[event("lamp.lit")]
    LampLit { lamp: u32, watts: u32 },
    #[event("lamp.dusted")]
    LampDusted { lamp: u32 },
}

#[data]
struct Lamp {
    lit: u32,
    watts: u32,
}

impl State for Lamp {
    type Event = LampEvent;

    fn evolve(self, event: &LampEvent) -> Self {
        match event {
            LampEvent::LampLit(lit) => Self { lit: self.lit + 1, watts: lit.watts },
            LampEvent::LampDusted(_) => self,
        }
    }
}

#[command("lamp")]
enum Do {
    Light { lamp: u32, watts: u32 },
    Dust { lamp: u32 },
}

impl Decision for Do {
    type State = Lamp;
    type Refusal = Infallible;

    fn decide(&self, _: &Lamp, _: &Ctx) -> Outcome<Self> {
        match *self {
            Self::Light { lamp, watts } => emit(LampLit { lamp, watts }),
            Self::Dust { lamp } => emit(LampDusted { lamp }),
        }
    }
}

/// What others are told, in its second version.
#[event("house.lamp.lit", version = 2, stream = "lamp-{lamp}")]
struct Told {
    #[tag]
    lamp: u32,
    milliwatts: u64,
}

#[event("house.lamp.lit", stream = "lamp-{lamp}")]
struct ToldBefore {
    #[tag]
    lamp: u32,
    watts: u32,
}

impl Upcast for Told {
    type Old = ToldBefore;

    fn upcast(old: ToldBefore) -> Self {
        Self { lamp: old.lamp, milliwatts: u64::from(old.watts) * 1_000 }
    }
}

struct Lights;

impl Publication for Lights {
    const NAME: &'static str = "lights";
    type Event = LampEvent;
    type State = ();
    type Message = Told;

    fn message(event: &Envelope<LampEvent>, (): &()) -> Option<Told> {
        match &event.event {
            LampEvent::LampLit(LampLit { lamp, watts }) => {
                Some(Told { lamp: *lamp, milliwatts: u64::from(*watts) * 1_000 })
            }
            LampEvent::LampDusted(_) => None,
        }
    }
}

/// A notification: that something is new, and where to ask.
#[event("house.lamp.changed", stream = "lamp-{lamp}")]
struct Changed {
    #[tag]
    lamp: u32,
}

struct Notices;

impl Publication for Notices {
    const NAME: &'static str = "notices";
    const TOPIC: Option<&'static str> = Some("house.notices");
    type Event = LampLit;
    type State = ();
    type Message = Changed;

    fn message(event: &Envelope<LampLit>, (): &()) -> Option<Changed> {
        Some(Changed { lamp: event.event.lamp })
    }
}

/// The whole state, for who keeps a copy of it.
#[event("house.lamp.state", stream = "lamp-{lamp}")]
struct Copy {
    #[tag]
    lamp: u32,
    now: Lamp,
}

struct Copies;

impl Publication for Copies {
    const NAME: &'static str = "copies";
    type Event = LampEvent;
    type State = Lamp;
    type Message = Copy;

    fn message(event: &Envelope<LampEvent>, now: &Lamp) -> Option<Copy> {
        let lamp = match &event.event {
            LampEvent::LampLit(lit) => lit.lamp,
            LampEvent::LampDusted(dusted) => dusted.lamp,
        };
        Some(Copy { lamp, now: now.clone() })
    }
}

/// What leaves with something that cannot be erased any more.
#[event("house.owner.told", stream = "lamp-{lamp}")]
struct Owner {
    #[tag]
    lamp: u32,
    #[personal]
    name: Option<String>,
}

struct Gossip;

impl Publication for Gossip {
    const NAME: &'static str = "gossip";
    type Event = LampLit;
    type State = ();
    type Message = Owner;

    fn message(event: &Envelope<LampLit>, (): &()) -> Option<Owner> {
        Some(Owner { lamp: event.event.lamp, name: Some("Ann".into()) })
    }
}

/// Keeps what it is given, in order; away for the next so many calls.
#[derive(Clone, Debug, Default)]
struct Board(Arc<Mutex<(u32, Vec<Outgoing>)>>);

impl Board {
    fn away_for(calls: u32) -> Self {
        Self(Arc::new(Mutex::new((calls, Vec::new()))))
    }

    fn all(&self) -> Vec<Outgoing> {
        self.0.lock().unwrap().1.clone()
    }

    fn ids(&self) -> Vec<String> {
        self.all().into_iter().map(|one| one.message.id).collect()
    }
}

impl Publisher for Board {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        let mut board = self.0.lock().unwrap();
        let away = board.0 > 0;
        board.0 = board.0.saturating_sub(1);
        if !away {
            board.1.extend(batch.iter().cloned());
        }
        let outcome = || match away {
            true => Err(PublishError::Unavailable { why: "nobody answers".into() }),
            false => Ok(()),
        };
        let outcomes = batch.iter().map(|_| outcome()).collect();
        Box::pin(std::future::ready(outcomes))
    }
}

async fn used(store: MemoryStore) -> App {
    let app = App::builder(store).service("house", "3").build();
    for watts in [40, 60] {
        app.execute(Do::Light { lamp: 7, watts }).actor("ann").await.unwrap();
        app.execute(Do::Dust { lamp: 7 }).await.unwrap();
    }
    app
}

/// What a publication says of each fact in the store.
async fn said<P: Publication>(app: &App) -> Vec<Option<Outgoing>> {
    let reading = app.store().read(Read::query(Query::All)).await.unwrap();
    let mut all = Vec::new();
    for event in reading.events().await.unwrap() {
        let mut facts = Vec::new();
        Envelope::<P::Event>::decode(&event).unwrap().for_each(|one| facts.push(one));
        for fact in facts {
            all.push(app.outgoing::<P>(&fact).await.unwrap());
        }
    }
    all
}

fn body(outgoing: &Option<Outgoing>) -> String {
    let message = &outgoing.as_ref().unwrap().message;
    String::from_utf8(message.data.to_vec()).unwrap()
}

#[tokio::test]
async fn a_fact_is_mapped_and_what_is_not_mapped_stays() {
    let app = used(MemoryStore::new()).await;
    let all = said::<Lights>(&app).await;
    assert_eq!(all.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, false]);
    let Outgoing { topic, message } = all[0].clone().unwrap();
    let reading = app.store().read(Read::query(Query::All)).await.unwrap();
    let fact = reading.events().await.unwrap().swap_remove(0);
    let known = Metadata::of(&fact);
    assert_eq!(topic, "house.lamp.lit");
    assert_eq!(
        (message.id.as_str(), message.source.as_str()),
        (&*fact.id().to_string(), "/house/lights")
    );
    assert_eq!((message.name.as_str(), message.key.as_deref()), ("house.lamp.lit", Some("lamp-7")));
    assert_eq!((message.subject.as_deref(), message.time), (Some("7"), Some(fact.occurred_at())));
    assert_eq!(message.data, r#"{"lamp":7,"milliwatts":40000}"#);
    assert_eq!(message.extensions["schemaversion"], "2");
    assert_eq!(message.extensions["actor"], "ann");
    assert_eq!(message.metadata().causation, Some(fact.id()));
    assert_eq!(message.metadata().correlation, known.correlation.or(Some(fact.id())));
}

#[tokio::test]
async fn a_notification_is_thin_and_a_state_is_that_of_its_fact() {
    let app = used(MemoryStore::new()).await;
    let notices = said::<Notices>(&app).await;
    assert_eq!(notices[0].as_ref().unwrap().topic, "house.notices");
    assert_eq!(notices.iter().map(body).collect::<Vec<_>>(), [r#"{"lamp":7}"#; 2]);
    // Each is as of its fact, though the lamp is further by now.
    let copies = said::<Copies>(&app).await;
    let states = [(1, 40), (1, 40), (2, 60), (2, 60)];
    let expected =
        states.map(|(lit, watts)| format!(r#"{{"lamp":7,"now":{{"lit":{lit},"watts":{watts}}}}}"#));
    assert_eq!(copies.iter().map(body).collect::<Vec<_>>(), expected);
}

/// A world and a store in which a lamp was used.
fn house() -> (SimWorld, AnyStore) {
    let world = SimWorld::new(1);
    let store = MemoryStore::with_clock(world.clock());
    world.run(used(store.clone()));
    (world, AnyStore::new(store))
}

fn start<P: Publication>(
    (world, store): &(SimWorld, AnyStore),
    on_error: OnError,
    board: &Board,
) -> App {
    let builder = App::builder(store.clone()).world(Arc::new(world.clone())).service("house", "3");
    let app = world.run(builder.publish::<P>(on_error, board.clone()).start()).unwrap();
    world.run_for(minutes(10));
    app
}

#[test]
fn what_cannot_be_erased_does_not_leave() {
    let (house, board) = (house(), Board::default());
    let app = start::<Gossip>(&house, OnError::Park, &board);
    // It waits for somebody, as it is; nothing was published.
    assert_eq!(app.consumer("gossip").unwrap().progress().borrow().parked, 2);
    assert_eq!(board.all(), []);
    let letters = house.0.run(app.dead_letters().list("gossip")).unwrap();
    let why = letters[0].error.as_deref().unwrap();
    assert!(why.contains("house.owner.told has a field that is `#[personal]`"), "{why}");
    house.0.end();
}

#[test]
fn a_broker_that_is_away_is_waited_for_and_gets_everything_in_order() {
    let (house, board) = (house(), Board::away_for(3));
    let away = OnError::retry(u32::MAX, Finally::Stop);
    let app = start::<Copies>(&house, away, &board);
    let facts = house.0.run(said::<Copies>(&app)).into_iter().map(|one| one.unwrap().message.id);
    assert_eq!(board.ids(), facts.collect::<Vec<_>>());
    house.0.end();
}

#[test]
fn what_is_published_again_is_the_same_message() {
    let (world, store) = house();
    let board = Board::default();
    // The power fails when everything is published, and before that is known.
    let part = world.instance("first");
    let dies = Gaps::new(store.clone(), part.clone(), 1, Gap::Dies { after: false }).at_appends();
    let first = (part.clone(), AnyStore::new(dies.clone()));
    drop(start::<Copies>(&first, OnError::Stop, &board));
    assert!(part.is_killed() && dies.was_reached());
    let published = board.all();
    assert_eq!(published.len(), 4);
    let second = (world, store);
    drop(start::<Copies>(&second, OnError::Stop, &board));
    assert_eq!(board.all()[4..], published);
    // And not once more, now that it is known.
    drop(start::<Copies>(&second, OnError::Stop, &board));
    assert_eq!(board.all().len(), 8);
    second.0.end();
}

#[test]
fn a_message_is_read_in_every_version_and_others_are_told_apart() {
    let message = Message::new("1", "/house/lights", "house.lamp.lit").key("lamp-7");
    let old = message.clone().json(&serde_json::json!({ "lamp": 7, "watts": 40 }));
    let told = Told { lamp: 7, milliwatts: 40_000 };
    // Who says no version says the first.
    assert_eq!(old.event::<Told>().unwrap(), Decoded::One(told.clone()));
    let new =
        message.clone().with("schemaversion", "2").json(&serde_json::to_value(&told).unwrap());
    assert_eq!(new.event::<Told>().unwrap(), Decoded::One(told));
    assert_eq!(new.event::<Changed>().unwrap(), Decoded::Skip);
    let newer = new.clone().with("schemaversion", "3").event::<Told>().unwrap_err();
    assert!(newer.to_string().contains("message \"1\" of \"/house/lights\""), "{newer}");
    let text = message.data("text/plain", "lit").event::<Told>().unwrap_err();
    assert!(matches!(text, ReceiveError::ContentType { .. }), "{text}");
    let key = new.key("a\0b").event::<Told>().unwrap_err();
    assert!(matches!(key, ReceiveError::Key { .. }), "{key}");
    assert_eq!(Told::VERSION, 2);
}
