//! Decisions under crashes, lost replies, deletes, two instances and clients that ask twice.
//!
//! Each event carries a digest of the state that it was decided on. Afterwards the log is read from
//! its beginning, and each digest must be that of exactly the facts in front of the event: no
//! decision was made on facts that were not all there. A refusal and a "nothing" carry it too, and
//! must have been true at some moment while they were asked for.

use super::world::{Outcome, Spread, spread};
use factum_app::{
    App, Boundary, Ctx, Decision, EventSet, EventStore, ExecuteError, InvalidName, Metadata,
    Receipt, Snapshots, State, World, command, emit, emit_all, event, event::Raw, nothing, refuse,
    serde_json::Value,
};
use factum_core::{
    Change, Item, Position, Query, RecordedEvent, StreamMetadata, StreamName, Tag, query::Subject,
};
use factum_testkit::{Cluster, Report, Sim};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// A step from one place to another; in the stream of where it led from.
#[event("step.taken")]
struct Taken {
    #[tag]
    from: u64,
    #[tag]
    to: u64,
    seen: String,
    by: u64,
}

/// Something was counted.
#[event("counter.bumped")]
struct Bumped {
    #[tag]
    counter: u64,
    seen: String,
    by: u64,
}

/// What was seen of both, and by whom each was done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    digest: u64,
    count: u64,
    by: Vec<u64>,
}

#[derive(Clone, Debug, EventSet)]
enum Fact {
    Taken(Taken),
    Bumped(Bumped),
}

impl State for Seen {
    type Event = Fact;

    fn evolve(mut self, event: &Fact) -> Self {
        let (by, more) = match event {
            Fact::Taken(taken) => (taken.by, taken.from * 100 + taken.to),
            Fact::Bumped(bumped) => (bumped.by, 10_000 + bumped.counter),
        };
        self.digest = spread(self.digest ^ spread(by) ^ more);
        self.count += 1;
        self.by.push(by);
        self
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::new("seen", 1).every(3))
    }
}

impl Seen {
    fn text(&self) -> String {
        format!("{:016x}", self.digest)
    }

    /// Once done is done; and one time in three there is no need, one time in five it is refused.
    fn judge(&self, by: u64) -> Judgement {
        match spread(self.digest ^ by) % 15 {
            _ if self.by.contains(&by) => Judgement::Refuse,
            0 | 5 | 10 => Judgement::Refuse,
            1 | 4 | 7 => Judgement::Nothing,
            _ => Judgement::Emit,
        }
    }
}

enum Judgement {
    Emit,
    Nothing,
    Refuse,
}

/// Reads all steps with either end, across streams.
#[command("step.take")]
struct Take {
    #[tag]
    from: u64,
    #[tag]
    to: u64,
    by: u64,
}

impl Decision for Take {
    type State = Seen;
    type Refusal = String;

    fn decide(&self, seen: &Seen, _: &Ctx) -> factum_app::Outcome<Self> {
        let Self { from, to, by } = *self;
        match seen.judge(by) {
            Judgement::Emit => emit(Taken { from, to, by, seen: seen.text() }),
            Judgement::Nothing => nothing(seen.text()),
            Judgement::Refuse => refuse(seen.text()),
        }
    }
}

/// Reads one stream: a classical aggregate.
#[command("counter.bump")]
struct Bump {
    counter: u64,
    by: u64,
}

fn of_counter(counter: u64) -> Result<Boundary, InvalidName> {
    Boundary::tagged::<Bumped>(&[("counter", counter.to_string())])
}

impl Decision for Bump {
    type State = Seen;
    type Refusal = String;

    fn boundary(&self) -> Result<Boundary, InvalidName> {
        of_counter(self.counter)
    }

    fn decide(&self, seen: &Seen, _: &Ctx) -> factum_app::Outcome<Self> {
        let Self { counter, by } = *self;
        match seen.judge(by) {
            Judgement::Emit => emit(Bumped { counter, by, seen: seen.text() }),
            Judgement::Nothing => nothing(seen.text()),
            Judgement::Refuse => refuse(seen.text()),
        }
    }
}

/// Reads a stream and a query as one state.
#[command("counter.tour")]
struct Tour {
    counter: u64,
    place: u64,
    by: u64,
}

fn of_place(place: u64) -> Result<Boundary, InvalidName> {
    let tag = |key: &str| Tag::new(&format!("{key}:{place}"));
    let item = |key: &str| Ok(Item { tags: vec![tag(key)?], ..Item::default() });
    Ok(Boundary::query(Query::AnyOf(vec![item("from")?, item("to")?])))
}

impl Decision for Tour {
    type State = Seen;
    type Refusal = String;

    fn boundary(&self) -> Result<Boundary, InvalidName> {
        Ok(of_counter(self.counter)?.and(of_place(self.place)?))
    }

    fn decide(&self, seen: &Seen, _: &Ctx) -> factum_app::Outcome<Self> {
        let Self { counter, place, by } = *self;
        let (bumped, taken) = (seen.text(), seen.text());
        match seen.judge(by) {
            Judgement::Emit => emit_all([
                Fact::from(Bumped { counter, by, seen: bumped }),
                Fact::from(Taken { from: place, to: place, by, seen: taken }),
            ]),
            Judgement::Nothing => nothing(bumped),
            Judgement::Refuse => refuse(bumped),
        }
    }
}

/// Reads two states, each with a boundary of its own, from one snapshot.
#[command("counter.pair")]
struct Pair {
    one: u64,
    other: u64,
    by: u64,
}

impl Decision for Pair {
    type State = (Seen, Seen);
    type Refusal = String;

    fn boundary(&self) -> Result<(Boundary, Boundary), InvalidName> {
        Ok((of_counter(self.one)?, of_counter(self.other)?))
    }

    fn decide(&self, (one, other): &(Seen, Seen), _: &Ctx) -> factum_app::Outcome<Self> {
        let (text, by) = (format!("{}+{}", one.text(), other.text()), self.by);
        match one.judge(by) {
            Judgement::Emit => emit_all([
                Bumped { counter: self.one, by, seen: text.clone() },
                Bumped { counter: self.other, by, seen: text },
            ]),
            Judgement::Nothing => nothing(text),
            Judgement::Refuse => refuse(text),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Debug)]
enum Ask {
    Take(Take),
    Bump(Bump),
    Tour(Tour),
    Pair(Pair),
}

impl Ask {
    fn drawn(random: &mut Spread, by: u64) -> Self {
        let kind = random.below(4);
        Self::of(kind, random, by)
    }

    fn of(kind: u64, random: &mut Spread, by: u64) -> Self {
        let mut small = || random.below(3);
        match kind {
            0 => Self::Take(Take { from: small(), to: small(), by }),
            1 => Self::Bump(Bump { counter: small(), by }),
            2 => Self::Tour(Tour { counter: small(), place: small(), by }),
            _ => {
                let one = small();
                Self::Pair(Pair { one, other: (one + 1) % 3, by })
            }
        }
    }

    /// The same kind of command about something else: whoever gives it the same key errs.
    fn about_another(&self, random: &mut Spread) -> Self {
        let kind = match self {
            Self::Take(_) => 0,
            Self::Bump(_) => 1,
            Self::Tour(_) => 2,
            Self::Pair(_) => 3,
        };
        Self::of(kind, random, self.by())
    }

    fn by(&self) -> u64 {
        match self {
            Self::Take(take) => take.by,
            Self::Bump(bump) => bump.by,
            Self::Tour(tour) => tour.by,
            Self::Pair(pair) => pair.by,
        }
    }

    /// What it reads.
    fn boundaries(&self) -> Vec<Boundary> {
        match self {
            Self::Take(take) => vec![take.boundary().unwrap()],
            Self::Bump(bump) => vec![bump.boundary().unwrap()],
            Self::Tour(tour) => vec![tour.boundary().unwrap()],
            Self::Pair(pair) => {
                let (one, other) = pair.boundary().unwrap();
                vec![one, other]
            }
        }
    }

    async fn asked_of(self, app: App, key: Option<String>) -> Outcome {
        match self {
            Self::Take(take) => ask(app, take, key).await,
            Self::Bump(bump) => ask(app, bump, key).await,
            Self::Tour(tour) => ask(app, tour, key).await,
            Self::Pair(pair) => ask(app, pair, key).await,
        }
    }
}

async fn ask<D: Decision<Refusal = String>>(app: App, command: D, key: Option<String>) -> Outcome {
    let execute = app.execute(command);
    let done = match key {
        Some(key) => execute.key(key).await,
        None => execute.await,
    };
    match done {
        Ok(Receipt { nothing: Some(seen), .. }) => Outcome::Saw(seen.into_owned()),
        Ok(receipt) => Outcome::Wrote(receipt),
        Err(ExecuteError::Refused(seen)) => Outcome::Saw(seen),
        Err(error) if error.is_retryable() => Outcome::Failed,
        Err(error) => panic!("{error}"),
    }
}

/// An answer, and what the head was before it was asked for, and after it came.
struct Answer {
    ask: Ask,
    outcome: Outcome,
    from: Position,
    to: Position,
}

/// One client: asks for this and that, now and then twice at once, or deletes a stream.
async fn client(sim: &Cluster<App>, random: &mut Spread, name: u64) -> Vec<Answer> {
    let mut answers = Vec::new();
    for nth in 0..8 {
        sim.world().sleep(Duration::from_millis(random.below(40))).await;
        if random.below(10) == 0 {
            let stream = StreamName::new(&format!("counter-{}", random.below(3))).unwrap();
            // Of a stream that is not there it is refused, and that is well.
            let _ = sim.store().change(&stream, Change::Delete, None).await;
        }
        let by = name * 100 + nth;
        let ask = Ask::drawn(random, by);
        let key = (random.below(3) > 0).then(|| by.to_string());
        answers.extend(asked(sim, random, ask, key).await);
    }
    answers
}

async fn asked(
    sim: &Cluster<App>,
    random: &mut Spread,
    ask: Ask,
    key: Option<String>,
) -> Vec<Answer> {
    let from = sim.store().head().await.unwrap();
    let one = async |nth: u64, ask: Ask| -> Answer {
        let outcome = loop {
            // Only with a key may it be asked for again after a crash.
            let nth = usize::try_from(nth).unwrap();
            let asked = sim.ask(nth, |app| ask.clone().asked_of(app, key.clone())).await;
            match (asked, &key) {
                (Ok(Outcome::Failed) | Err(_), Some(_)) => {}
                (Ok(outcome), _) => break outcome,
                (Err(_), None) => break Outcome::Failed,
            }
        };
        let to = sim.store().head().await.unwrap();
        Answer { ask, outcome, from, to }
    };
    if key.is_some() && random.below(3) == 0 {
        // The client gave up waiting and asks elsewhere, while the first is still at it.
        let other = match random.below(2) {
            0 => ask.clone(),
            _ => ask.about_another(random),
        };
        let (first, second) = futures_util::future::join(one(0, ask), one(1, other)).await;
        return vec![first, second];
    }
    vec![one(random.below(2), ask).await]
}

/// Runs it once, and looks at everything that came of it.
pub(crate) fn run(sim: Sim) -> Report {
    let seed = sim.seed();
    sim.run(
        |store, world| async move { App::builder(store).world(world).states_max(4).build() },
        async |sim| {
            let clients = (0..4u64).map(|name| async move {
                let mut random = Spread(seed ^ spread(name));
                client(sim, &mut random, name + 1).await
            });
            let answers = futures_util::future::join_all(clients).await;
            let log = Log(sim.events().await);
            log.check_events();
            for answer in answers.into_iter().flatten() {
                log.check_answer(&answer);
            }
        },
    )
}

/// Everything that is stored.
struct Log(Vec<RecordedEvent>);

impl Log {
    /// The digest of a boundary's facts up to a position.
    fn seen(&self, boundary: &Boundary, at: Position) -> Seen {
        let before = self.0.iter().filter(|event| event.position() <= at);
        let mut hidden: BTreeMap<StreamName, u64> = BTreeMap::new();
        for event in before.clone() {
            if let Some(stream) = event.stream().metadata_of() {
                let metadata = StreamMetadata::from_json(event.data()).unwrap();
                hidden.insert(stream, metadata.truncate_before.unwrap_or(0));
            }
        }
        let is_in = |event: &&RecordedEvent| {
            boundary.parts().iter().any(|part| match part {
                factum_app::Part::Stream(stream) => {
                    let before = hidden.get(stream).copied().unwrap_or(0);
                    event.stream() == stream && event.revision().0 >= before
                }
                factum_app::Part::Query(query) => query.matches(Subject {
                    stream: event.stream(),
                    event_type: event.event_type(),
                    tags: event.tags(),
                }),
            })
        };
        let mut seen = Seen::default();
        for event in before.filter(is_in) {
            let decoded = Fact::decode(&Raw::of(event)).unwrap();
            decoded.for_each(|event| seen = std::mem::take(&mut seen).evolve(&event));
        }
        seen
    }

    fn text(&self, boundaries: &[Boundary], at: Position) -> String {
        let seen = boundaries.iter().map(|one| self.seen(one, at).text());
        seen.collect::<Vec<_>>().join("+")
    }

    /// What is stored, and what a command would see after each.
    fn told(&self, boundaries: &[Boundary]) -> String {
        let line = |event: &RecordedEvent| {
            let (at, seen) = (event.position(), self.text(boundaries, event.position()));
            format!("  {at} {} {}: {seen}\n", event.event_type(), event.stream())
        };
        self.0.iter().map(line).collect()
    }

    /// Every append was decided on exactly what was in front of it, and each key is done once.
    fn check_events(&self) {
        let mut appends: BTreeMap<_, Vec<&RecordedEvent>> = BTreeMap::new();
        for event in self.0.iter().filter(|event| is_fact(event)) {
            let command = Metadata::of(event).causation.unwrap();
            appends.entry(command).or_default().push(event);
        }
        let mut keys = BTreeMap::new();
        for events in appends.values() {
            let (first, boundaries) = (events[0], boundaries_of(events));
            let was = self.text(&boundaries, Position(first.position().0 - 1));
            for event in events {
                let said = field(event, "seen");
                assert_eq!(said, was, "{event:?} was decided on what was not all there is");
            }
            for key in first.tags().iter().filter(|tag| tag.as_str().starts_with("$command")) {
                let before = keys.insert(key.clone(), first.position());
                assert_eq!(before, None, "{key} was done a second time at {}", first.position());
            }
        }
    }

    fn check_answer(&self, answer: &Answer) {
        let Answer { ask, outcome, from, to } = answer;
        match outcome {
            Outcome::Failed => {}
            Outcome::Wrote(receipt) => {
                let stored = |id| self.0.iter().any(|event| event.id() == id);
                assert!(!receipt.ids.is_empty());
                for id in &receipt.ids {
                    assert!(stored(*id), "{ask:?} was acknowledged, and is not there: {id}");
                }
                assert!(receipt.position <= *to, "{ask:?}: a receipt from the future");
            }
            Outcome::Saw(seen) => {
                let boundaries = ask.boundaries();
                let was = |at: &u64| self.text(&boundaries, Position(*at)) == *seen;
                let first = (from.0..=to.0).find(was);
                let held = first.map(Position);
                assert!(
                    held.is_some(),
                    "{ask:?} was told {seen}, which held at no moment from {from} to {to}\n{}",
                    self.told(&boundaries)
                );
                self.check_not_done(ask, held.unwrap_or(*to));
            }
        }
    }

    /// Who is told that nothing came of it is not told so because of its own first attempt.
    fn check_not_done(&self, ask: &Ask, seen_at: Position) {
        let by = ask.by().to_string();
        let done = self.0.iter().find(|event| is_fact(event) && field(event, "by") == by);
        if let Some(done) = done.filter(|done| done.position() <= seen_at) {
            panic!("{ask:?} was done at {}, and is answered otherwise", done.position());
        }
    }
}

fn is_fact(event: &RecordedEvent) -> bool {
    ["step.taken", "counter.bumped"].contains(&event.event_type().as_str())
}

fn field(event: &RecordedEvent, name: &str) -> String {
    let value: Value = factum_app::serde_json::from_slice(event.data()).unwrap();
    match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What the command read that wrote these.
fn boundaries_of(events: &[&RecordedEvent]) -> Vec<Boundary> {
    let number = |event: &RecordedEvent, name: &str| field(event, name).parse::<u64>().unwrap();
    let ask = match *events {
        [one] if one.event_type().as_str() == "step.taken" => {
            Ask::Take(Take { from: number(one, "from"), to: number(one, "to"), by: 0 })
        }
        [one] => Ask::Bump(Bump { counter: number(one, "counter"), by: 0 }),
        [one, other] if other.event_type().as_str() == "step.taken" => {
            Ask::Tour(Tour { counter: number(one, "counter"), place: number(other, "from"), by: 0 })
        }
        [one, other] => {
            Ask::Pair(Pair { one: number(one, "counter"), other: number(other, "counter"), by: 0 })
        }
        _ => panic!("an append has one event or two: {events:?}"),
    };
    ask.boundaries()
}
