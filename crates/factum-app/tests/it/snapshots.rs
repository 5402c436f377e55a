//! Snapshot and tail are the full replay; whatever does not fit is passed over.

use factum_app::{
    AnyStore, App, Boundary, Ctx, Decision, EventStore, MemoryStore, Outcome, Position, Query,
    RecordedEvent, Revision, Snapshots, State, StreamName, command, emit, event,
};
use factum_core::{Append, Change, EventData, EventType, Item, Read, Tag, Uuid};
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, time::Duration};

#[event("tally.added")]
struct Added {
    #[tag]
    tally: u32,
    #[tag]
    colour: String,
    digit: u64,
}

/// Depends on every event and on their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    digits: String,
}

impl State for Tally {
    type Event = Added;

    fn evolve(mut self, event: &Added) -> Self {
        self.digits.push_str(&event.digit.to_string());
        self
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::new("tally", 1).every(3))
    }
}

/// The same without snapshots.
#[derive(Clone, Debug, Default, PartialEq)]
struct Replayed(Tally);

impl State for Replayed {
    type Event = Added;

    fn evolve(self, event: &Added) -> Self {
        Self(self.0.evolve(event))
    }
}

/// The same in a version of its own, kept as soon as something happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Second(Tally);

impl State for Second {
    type Event = Added;

    fn evolve(self, event: &Added) -> Self {
        Self(self.0.evolve(event))
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::new("tally", 2).every(u64::MAX).older_than(Duration::ZERO))
    }
}

#[command("tally.add")]
struct Add {
    tally: u32,
    colour: String,
    digit: u64,
    by_colour: bool,
}

impl Decision for Add {
    type State = Tally;
    type Refusal = Infallible;

    fn boundary(&self) -> Result<Boundary, factum_app::InvalidName> {
        match self.by_colour {
            true => colour(&self.colour),
            false => Boundary::stream(StreamName::new(&format!("tally-{}", self.tally))?).done(),
        }
    }

    fn decide(&self, _: &Tally, _: &Ctx) -> Outcome<Self> {
        emit(Added { tally: self.tally, colour: self.colour.clone(), digit: self.digit })
    }
}

trait Done: Sized {
    fn done(self) -> Result<Self, factum_app::InvalidName> {
        Ok(self)
    }
}

impl Done for Boundary {}

fn colour(colour: &str) -> Result<Boundary, factum_app::InvalidName> {
    let tags = vec![Tag::new(&format!("colour:{colour}"))?];
    Ok(Boundary::query(Query::AnyOf(vec![Item { tags, ..Item::default() }])))
}

fn stream(tally: u32) -> Boundary {
    Boundary::stream(StreamName::new(&format!("tally-{tally}")).unwrap())
}

/// An app that has seen nothing yet.
fn fresh(store: &AnyStore) -> App {
    App::new(store.clone())
}

async fn snapshots(store: &AnyStore) -> Vec<RecordedEvent> {
    let taken = Query::types([EventType::new("snapshot.taken").unwrap()]);
    store.read(Read::query(taken)).await.unwrap().events().await.unwrap()
}

/// Lets what was spawned come to an end: on one thread, nothing of the memory store waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn snapshot_and_tail_are_the_full_replay() {
    let mut seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    println!("SEED={seed}");
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let store = AnyStore::new(MemoryStore::new());
    let mut app = fresh(&store);
    for step in 0..600u64 {
        let add = Add {
            tally: random(3) as u32,
            colour: ["red", "blue"][random(2) as usize].into(),
            digit: step % 10,
            by_colour: random(2) == 0,
        };
        app.execute(add).await.unwrap();
        match random(10) {
            0 => app = fresh(&store),
            1 => {
                let name = StreamName::new(&format!("tally-{}", random(3))).unwrap();
                // Deleting what was never written is refused, and that is all.
                let _ = store.change(&name, Change::Delete, None).await;
            }
            _ => {}
        }
        settle().await;
        let reader = if random(2) == 0 { fresh(&store) } else { app.clone() };
        let boundary = match random(4) {
            0 => colour("red").unwrap(),
            1 => colour("blue").unwrap().and(stream(random(3) as u32)),
            _ => stream(random(3) as u32),
        };
        let kept = reader.state_within::<Tally>(boundary.clone()).await.unwrap();
        let replayed = fresh(&store).state_within::<Replayed>(boundary.clone()).await.unwrap();
        assert_eq!(kept, replayed.0, "step {step}, {boundary:?}");
        settle().await;
    }
    let taken = snapshots(&store).await.len();
    assert!(taken > 100, "only {taken} snapshots were taken");
}

async fn add(app: &App, digit: u64) {
    let add = Add { tally: 1, colour: "red".into(), digit, by_colour: false };
    app.execute(add).await.unwrap();
    settle().await;
}

/// Puts another state into the newest snapshot, and says whether a fresh app believes it.
async fn believes(store: &AnyStore, from: &str, to: &str) -> bool {
    let all = snapshots(store).await;
    let newest = all.last().unwrap();
    let text = String::from_utf8(newest.data().to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    let forged = EventData::new(
        Uuid::from_u128(u128::from(newest.position().0) << 64 | 1),
        newest.event_type().clone(),
        text.replace(from, to),
    );
    store.append(Append::to(newest.stream().clone(), [forged])).await.unwrap();
    let digits = fresh(store).state::<Tally>(1).await.unwrap().digits;
    match digits.as_str() {
        "0123" => false,
        "forged3" => true,
        other => panic!("neither replayed nor the snapshot's: {other}"),
    }
}

#[tokio::test]
async fn a_snapshot_is_used_and_one_that_does_not_fit_is_not() {
    let store = AnyStore::new(MemoryStore::new());
    let app = fresh(&store);
    for digit in 0..4 {
        add(&app, digit).await;
    }
    assert_eq!(snapshots(&store).await.len(), 1, "one after three events");
    let state = r#"{"digits":"012"}"#;
    assert!(believes(&store, state, r#"{"digits":"forged"}"#).await, "it is not used at all");
    let forged = r#"{"digits":"forged"}"#;
    assert!(!believes(&store, r#""version":1"#, r#""version":9"#).await, "of another version");
    assert!(!believes(&store, r#""version":9"#, r#""version":"#).await, "not even JSON");
    // Whole again, but of something else.
    let stream = snapshots(&store).await.last().unwrap().stream().clone();
    let whole = snapshots(&store).await[1].to_data();
    let whole = EventData { id: Uuid::from_u128(77), ..whole };
    store.append(Append::to(stream, [whole])).await.unwrap();
    assert!(!believes(&store, "tally-1", "tally-2").await, "of another boundary");
    let _ = forged;
}

#[tokio::test]
async fn of_the_snapshots_of_a_boundary_the_newest_is_kept() {
    let store = AnyStore::new(MemoryStore::new());
    let app = fresh(&store);
    for digit in 0..9 {
        add(&app, digit).await;
    }
    let all = snapshots(&store).await;
    assert_eq!(all.len(), 3);
    let visible = Read::stream(all[0].stream().clone());
    let visible = store.read(visible).await.unwrap().events().await.unwrap();
    assert_eq!(visible.iter().map(RecordedEvent::revision).collect::<Vec<_>>(), [Revision(2)]);
}

#[tokio::test]
async fn versions_of_a_state_do_not_take_each_other_for_theirs() {
    let store = AnyStore::new(MemoryStore::new());
    for digit in 0..3 {
        add(&fresh(&store), digit).await;
    }
    let second = fresh(&store).state::<Second>(1).await.unwrap();
    settle().await;
    assert_eq!(second.0.digits, "012");
    assert_eq!(fresh(&store).state::<Tally>(1).await.unwrap().digits, "012");
    // By age: each time something happened.
    let before = snapshots(&store).await.len();
    fresh(&store).state::<Second>(1).await.unwrap();
    settle().await;
    assert_eq!(snapshots(&store).await.len(), before + 1, "one more, as the other's is in the way");
}

#[tokio::test]
async fn a_state_as_of_a_moment_knows_nothing_later() {
    let store = AnyStore::new(MemoryStore::new());
    let app = fresh(&store);
    for digit in 0..6 {
        add(&app, digit).await;
    }
    let of = |event: &RecordedEvent| (event.position(), event.recorded_at());
    let name = StreamName::new("tally-1").unwrap();
    let events = store.read(Read::stream(name)).await.unwrap().events().await.unwrap();
    let (position, recorded) = of(&events[2]);
    let then = app.state::<Tally>(1).as_of_position(position).await.unwrap();
    assert_eq!(then.digits, "012");
    let then = app.state::<Tally>(1).as_recorded(recorded).await.unwrap();
    assert!(then.digits.starts_with("012"), "{}", then.digits);
    let before = app.state::<Tally>(1).as_of_position(Position::START).await.unwrap();
    assert_eq!(before, Tally::default());
    assert_eq!(app.state::<Tally>(1).await.unwrap().digits, "012345", "and now is now");
}
