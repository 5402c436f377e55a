//! Road traffic fines: a real log replayed as commands, under a clock that follows it. What is
//! outstanding by month, what was owed on a date, and what goes to collection when its deadline
//! passes.
//!
//! `cargo run --example fines`; `FACTUM_URL` names another store than the one in memory, and
//! `FINES_CSV` another log of the same form.
#![allow(clippy::print_stdout, reason = "an example prints")]

mod clock;
mod collection;
mod fine;
mod log;
mod views;

use clock::LogWorld;
use collection::{Collection, deadline};
use factum::AsOf;
use factum::app::{EventStore, prelude::*, process::InstanceStatus};
use fine::{Fine, FineCommand};
use log::Entry;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use views::Outstanding;

#[tokio::main]
async fn main() -> Result {
    let url = std::env::var("FACTUM_URL").unwrap_or_else(|_| "memory:".to_owned());
    let path = log::path();
    let entries = log::read(&path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let world = LogWorld::new();
    let app = App::builder(factum::open(&url).await?)
        .world(Arc::new(world.clone()))
        .service("fines", "1.0")
        .projection::<Outstanding>(OnError::Stop)
        .process::<Collection>(OnError::Stop)
        .start()
        .await?;
    println!("{} entries of {name}, in {url}\n", entries.len());
    replay(&app, &world, &entries).await?;
    by_month(&app).await?;
    on_dates(&app, &entries).await?;
    to_collection(&app, &entries).await
}

/// Each entry as a command, at its time; deadlines that pass before it are waited for.
async fn replay(app: &App, world: &LogWorld, entries: &[Entry]) -> Result {
    let mut due: BTreeMap<(Timestamp, String), ()> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        while let Some(first) = due.first_entry().filter(|first| first.key().0 <= entry.on) {
            let (at, fine) = first.remove_entry().0;
            pass(app, world, at, &fine).await?;
        }
        world.jump_to(entry.on);
        let Some(command) = entry.command.clone() else {
            continue;
        };
        if let FineCommand::Penalise { fine, on, .. } = &command {
            due.insert((deadline(*on), fine.clone()), ());
        }
        // The key makes a second replay over the same store do nothing.
        let key = format!("{number}:{}", entry.on);
        app.execute(command).key(key).await?;
    }
    while let Some(((at, fine), ())) = due.pop_first() {
        pass(app, world, at, &fine).await?;
    }
    Ok(())
}

/// Lets a deadline pass, and waits for what follows from it.
async fn pass(app: &App, world: &LogWorld, at: Timestamp, fine: &str) -> Result {
    world.jump_to(at);
    let ended = async {
        let collection = app.process::<Collection>();
        let is_over = |one: &InstanceStatus| !one.running && one.to_do.is_empty();
        while !collection.status(fine).await?.as_ref().is_some_and(is_over) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await?
}

fn euros(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

async fn by_month(app: &App) -> Result {
    println!("Outstanding, by the month of the offence (the ten highest):");
    let head = app.store().head().await?;
    let rows = app.view::<Outstanding>().at_least(head).list().limit(10_000).await?.rows;
    let mut rows: Vec<_> = rows.into_iter().filter(|row| row.value.cents > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.value.cents));
    for row in rows.iter().take(10) {
        println!("  {}  {:>9}  of {} fines", row.key, euros(row.value.cents), row.value.fines);
    }
    Ok(())
}

async fn on_dates(app: &App, entries: &[Entry]) -> Result {
    println!("\nOwed by everybody together, on a date:");
    for year in [2001, 2003, 2005, 2007, 2009] {
        let date: Timestamp = format!("{year}-03-15T00:00:00+01:00").parse()?;
        let then = app.view_as_of::<Outstanding>(AsOf::Occurred(date)).await?;
        let owed = then.rows().map(|(_, row)| row.cents).sum();
        println!("  {year}-03-15  {:>9}", euros(owed));
    }
    let Some(paid_late) = entries.iter().rev().find(|entry| entry.what == "Payment") else {
        return Ok(());
    };
    println!("\nThe fine {}, before and after its last payment:", paid_late.fine);
    for at in [Timestamp(paid_late.on.0 - 1), paid_late.on] {
        let then = app.state::<Fine>(&paid_late.fine).as_of(at).await?;
        println!("  {at}  {:>9}", euros(then.owed()));
    }
    Ok(())
}

async fn to_collection(app: &App, entries: &[Entry]) -> Result {
    let in_log = entries.iter().filter(|entry| entry.what == "Send for Credit Collection").count();
    let penalised: Vec<&Entry> =
        entries.iter().filter(|entry| entry.what == "Add penalty").collect();
    let mut collected = Vec::new();
    for entry in &penalised {
        if app.state::<Fine>(&entry.fine).await?.collected {
            collected.push(&entry.fine);
        }
    }
    println!(
        "\nSent to collection {} days after the penalty: {} of {} fines (the log: {in_log}).",
        collection::DAYS,
        collected.len(),
        penalised.len()
    );
    if let Some(first) = collected.first() {
        println!("\n{}", app.process::<Collection>().timeline(first).await?);
    }
    Ok(())
}
