//! A small app for tests of stores with real processes: deposits into accounts, a book of each
//! account as a view, and a process that thanks for each deposit, once.
//!
//! Apart from the scenarios: it is run, by several programs at once, and killed. What must hold in
//! the end is in [`check_thanks`] and [`check_books`], whatever happened.

use factum_app::{
    App, AppBuilder, Ctx, Decision, Envelope, Input, OnError, Outcome, Process, Projection, Row,
    State, Steps, command, data, emit, event,
};
use factum_core::{
    Append, EventData, EventStore, EventType, Query, Read, RecordedEvent, StreamName, Uuid,
};
use std::{collections::BTreeMap, convert::Infallible};

/// How many accounts there are.
pub const ACCOUNTS: u64 = 5;

/// Somebody deposited. Every deposit has another number.
#[event("account.deposited")]
pub struct Deposited {
    /// Into which account.
    #[tag]
    pub account: u64,
    /// Which deposit.
    pub number: u64,
}

/// Somebody was thanked for a deposit.
#[event("thanks.given")]
pub struct Thanked {
    /// For which.
    #[tag]
    pub thanks: u64,
}

/// The numbers of the deposits into an account, in order.
#[data]
pub struct Book {
    /// Their numbers.
    pub numbers: Vec<u64>,
}

impl Projection for Book {
    const NAME: &'static str = "books";
    type Event = Deposited;

    fn apply(row: &mut Row<Self>, event: &Envelope<Deposited>) {
        row.upsert(|row| row.numbers.push(event.event.number));
    }
}

/// Reads nothing, so that doing a command twice is seen.
#[data]
pub struct Blunt;

impl State for Blunt {
    type Event = Thanked;

    fn evolve(self, _: &Thanked) -> Self {
        self
    }
}

/// Thanks for a deposit.
#[command("thanks.give")]
pub struct Thank {
    /// For which.
    #[tag]
    pub thanks: u64,
}

impl Decision for Thank {
    type State = Blunt;
    type Refusal = Infallible;

    fn decide(&self, _: &Blunt, _: &Ctx) -> Outcome<Self> {
        emit(Thanked { thanks: self.thanks })
    }
}

/// Thanks for each deposit.
#[data]
pub struct Thanks;

impl Process for Thanks {
    const NAME: &'static str = "thanks";
    type Event = Deposited;
    type Command = Thank;

    fn route(event: &Deposited) -> factum_app::Route {
        factum_app::Route::start(event.number)
    }

    fn react(&mut self, input: Input<'_, Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(deposited) => steps.send(Thank { thanks: deposited.number }),
            Input::Replied(..) => steps.end(),
            Input::TimedOut(_) => steps,
        }
    }
}

/// The view and the process of the sample.
pub fn wire(builder: AppBuilder) -> AppBuilder {
    builder.projection::<Book>(OnError::Stop).process::<Thanks>(OnError::Stop)
}

/// The deposit with this number, from 1, into the account that falls to it. Appended again it is
/// there once.
///
/// # Panics
///
/// Never: its names are short.
#[must_use]
pub fn deposit(number: u64) -> Append {
    let account = number % ACCOUNTS;
    let data = format!(r#"{{"account":{account},"number":{number}}}"#);
    let kind = EventType::new("account.deposited").expect("a name");
    let event = EventData::new(Uuid::from_u128(u128::from(number)), kind, data);
    let stream = StreamName::new(&format!("account-{account}")).expect("a name");
    Append::to(stream, [event])
}

/// Everything that a store has, in order.
///
/// # Panics
///
/// It does not answer.
pub async fn events(store: &impl EventStore) -> Vec<RecordedEvent> {
    let reading = store.read(Read::query(Query::All)).await;
    reading.expect("the store answers").events().await.expect("the store answers")
}

/// How many deposits there are that nobody was thanked for.
#[must_use]
pub fn unthanked(events: &[RecordedEvent]) -> usize {
    let of = |name: &str| events.iter().filter(|one| one.event_type().as_str() == name).count();
    of("account.deposited").saturating_sub(of("thanks.given"))
}

/// Each deposit was thanked for once.
///
/// # Panics
///
/// It was not.
pub fn check_thanks(events: &[RecordedEvent]) {
    let mut thanks: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for event in events {
        match event.event_type().as_str() {
            "account.deposited" => thanks.entry(number(event)).or_default().0 += 1,
            "thanks.given" => thanks.entry(number(event)).or_default().1 += 1,
            _ => {}
        }
    }
    let wrong: Vec<_> = thanks.iter().filter(|(_, counts)| **counts != (1, 1)).collect();
    assert!(wrong.is_empty(), "number, (deposited, thanked): {wrong:?}");
}

fn number(event: &RecordedEvent) -> u64 {
    let data: factum_app::serde_json::Value =
        factum_app::serde_json::from_slice(event.data()).unwrap_or_default();
    let number = data.get("number").or_else(|| data.get("thanks"));
    number.and_then(factum_app::serde_json::Value::as_u64).unwrap_or_default()
}

/// Each book has the deposits of its account, each once and in order.
///
/// # Panics
///
/// It has not, or the view does not answer within its limit.
pub async fn check_books(app: &App, within: std::time::Duration) {
    let head = app.store().head().await.expect("the store answers");
    let events = events(app.store()).await;
    let rows = app.view::<Book>().at_least(head).within(within).list().await;
    let rows = rows.expect("the view answers").rows;
    for account in 0..ACCOUNTS {
        let of = |event: &&RecordedEvent| event.stream().as_str() == format!("account-{account}");
        let stored: Vec<u64> = events.iter().filter(of).map(number).collect();
        let row = rows.iter().find(|row| row.key == account.to_string());
        let held = row.map(|row| row.value.numbers.clone()).unwrap_or_default();
        assert_eq!(held, stored, "account {account}");
    }
}
