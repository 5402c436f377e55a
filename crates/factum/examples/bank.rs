//! A bank account, and what keeping facts gives it: who did what, the balance on any date, and the
//! state before any step, for who looks for a mistake.
//!
//! `cargo run --example bank`; `FACTUM_URL` names another store than the one in memory:
//! `file:./bank`, or `factum://127.0.0.1:2113` where `factum dev` runs.
#![allow(clippy::print_stdout, reason = "an example prints")]

use factum::app::prelude::*;
use factum::app::{AppBuilder, EventStore, RecordedEvent};
use std::error::Error;

#[event("account.opened")]
struct Opened {
    #[tag]
    account: String,
    owner: String,
    #[occurred_at]
    on: Timestamp,
}

#[event("account.deposited")]
struct Deposited {
    #[tag]
    account: String,
    cents: u64,
    #[occurred_at]
    on: Timestamp,
}

#[event("account.withdrawn")]
struct Withdrawn {
    #[tag]
    account: String,
    cents: u64,
    #[occurred_at]
    on: Timestamp,
}

#[derive(Clone, Debug, EventSet)]
enum AccountEvent {
    Opened(Opened),
    Deposited(Deposited),
    Withdrawn(Withdrawn),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    owner: Option<String>,
    cents: u64,
}

impl State for Account {
    type Event = AccountEvent;

    fn evolve(self, event: &AccountEvent) -> Self {
        match event {
            AccountEvent::Opened(one) => Self { owner: Some(one.owner.clone()), ..self },
            AccountEvent::Deposited(one) => Self { cents: self.cents + one.cents, ..self },
            // A fact cannot be refused, not even one that should not be.
            AccountEvent::Withdrawn(one) => {
                Self { cents: self.cents.saturating_sub(one.cents), ..self }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Refused {
    Exists,
    NotOpen,
    Nothing,
    Short { cents: u64 },
}

#[command("account.open")]
struct Open {
    #[tag]
    account: String,
    owner: String,
    on: Timestamp,
}

impl Decision for Open {
    type State = Account;
    type Refusal = Refused;

    fn decide(&self, account: &Account, _: &Ctx) -> Outcome<Self> {
        ensure(account.owner.is_none(), Refused::Exists)?;
        let (account, owner) = (self.account.clone(), self.owner.clone());
        emit(Opened { account, owner, on: self.on })
    }
}

#[command("account.deposit")]
struct Deposit {
    #[tag]
    account: String,
    cents: u64,
    on: Timestamp,
}

impl Decision for Deposit {
    type State = Account;
    type Refusal = Refused;

    fn validate(&self) -> Result<(), Refused> {
        ensure(self.cents > 0, Refused::Nothing)
    }

    fn decide(&self, account: &Account, _: &Ctx) -> Outcome<Self> {
        ensure(account.owner.is_some(), Refused::NotOpen)?;
        emit(Deposited { account: self.account.clone(), cents: self.cents, on: self.on })
    }
}

#[command("account.withdraw")]
struct Withdraw {
    #[tag]
    account: String,
    cents: u64,
    on: Timestamp,
}

impl Decision for Withdraw {
    type State = Account;
    type Refusal = Refused;

    fn validate(&self) -> Result<(), Refused> {
        ensure(self.cents > 0, Refused::Nothing)
    }

    fn decide(&self, account: &Account, _: &Ctx) -> Outcome<Self> {
        ensure(account.owner.is_some(), Refused::NotOpen)?;
        let short = self.cents.saturating_sub(account.cents);
        ensure(short == 0, Refused::Short { cents: short })?;
        emit(Withdrawn { account: self.account.clone(), cents: self.cents, on: self.on })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("FACTUM_URL").unwrap_or_else(|_| "memory:".to_owned());
    let app = bank(factum::open(&url).await?).build();
    // An account of its own for each run, so that the example may be run twice over one store.
    let account = format!("ann-{}", app.store().head().await?);
    println!("Account {account}, in {url}\n");
    spring(&app, &account).await?;
    trail(&app, &account).await?;
    balances(&app, &account).await?;
    replay(&app, &account).await?;
    refusals(&app, &account).await
}

/// What the bank is made of; `bank.mmd` draws it (`FACTUM_DESCRIBE=update cargo test`).
fn bank(store: impl EventStore) -> AppBuilder {
    App::builder(store)
        .service("bank", "1.0")
        .decision::<Open>()
        .decision::<Deposit>()
        .decision::<Withdraw>()
}

fn on(day: &str) -> Result<Timestamp, Box<dyn Error>> {
    Ok(format!("{day}T12:00:00+01:00").parse()?)
}

/// What happened, each by who did it.
async fn spring(app: &App, account: &str) -> Result<(), Box<dyn Error>> {
    let account = || account.to_owned();
    let open = Open { account: account(), owner: "Ann".to_owned(), on: on("2026-03-01")? };
    app.execute(open).actor("clerk:mia").await?;
    for (day, cents) in [("2026-03-02", 120_000), ("2026-03-20", 12_550), ("2026-04-02", 120_000)] {
        let on = on(day)?;
        if cents < 100_000 {
            let withdraw = Withdraw { account: account(), cents, on };
            app.execute(withdraw).actor("card:4711").await?;
            continue;
        }
        let salary = Deposit { account: account(), cents, on };
        // The payer may send it twice: the key says that it is the same one.
        let key = format!("{}:salary:{day}", account());
        app.execute(salary.clone()).key(&key).actor("bank:transfer").await?;
        app.execute(salary).key(&key).actor("bank:transfer").await?;
        let rent = Withdraw { account: account(), cents: 75_000, on };
        app.execute(rent).actor("order:rent").await?;
    }
    Ok(())
}

fn euros(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The events of the account, as they were stored.
async fn events(app: &App, account: &str) -> Result<Vec<RecordedEvent>, Box<dyn Error>> {
    let stream = StreamName::new(&format!("account-{account}"))?;
    Ok(app.store().read(factum::Read::stream(stream)).await?.events().await?)
}

async fn trail(app: &App, account: &str) -> Result<(), Box<dyn Error>> {
    println!("The audit trail: nothing is overwritten, and each fact says who did it.");
    for event in events(app, account).await? {
        let actor = Metadata::of(&event).actor.unwrap_or_default();
        let day = event.occurred_at().to_string();
        let day = day.split('T').next().unwrap_or_default();
        println!("  {day}  {:<18} {actor}", event.event_type().as_str());
    }
    Ok(())
}

async fn balances(app: &App, account: &str) -> Result<(), Box<dyn Error>> {
    println!("\nThe balance on a date:");
    for day in ["2026-02-28", "2026-03-04", "2026-03-15", "2026-04-04"] {
        let then = app.state::<Account>(account).as_of(on(day)?).await?;
        println!("  {day}  {:>9}", euros(then.cents));
    }
    let now = app.state::<Account>(account).await?;
    println!("  today       {:>9}", euros(now.cents));
    Ok(())
}

async fn replay(app: &App, account: &str) -> Result<(), Box<dyn Error>> {
    println!("\nReplay, for who looks for a mistake: the state before and after each step.");
    let mut before = Account::default();
    for event in events(app, account).await? {
        let after = app.state::<Account>(account).as_of_position(event.position()).await?;
        let (from, to) = (euros(before.cents), euros(after.cents));
        println!("  {:<18} {from:>9} -> {to:>9}", event.event_type().as_str());
        before = after;
    }
    Ok(())
}

async fn refusals(app: &App, account: &str) -> Result<(), Box<dyn Error>> {
    println!("\nA refusal is data:");
    let account = account.to_owned();
    let much = Withdraw { account, cents: 10_000_000, on: on("2026-04-06")? };
    match app.execute(much).await {
        Err(ExecuteError::Refused(Refused::Short { cents })) => {
            println!("  withdrawing 100000.00 is refused: {} short", euros(cents));
            Ok(())
        }
        other => Err(format!("this should have been refused: {other:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum::app::{MemoryStore, describe};

    #[test]
    fn what_is_drawn_is_what_there_is() {
        describe::check("examples/bank.mmd", &bank(MemoryStore::new()).describe().mermaid());
    }
}
