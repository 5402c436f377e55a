//! Whether the rows here catch what they are for. The process that has the bug in it is a child
//! (the one that is killed, or the server), which `FACTUM_BUG` tells; so each bug is tried by a run
//! of this program with that variable.

use crate::{rows, server, worker};
use std::process::{Command, ExitCode};

/// Seconds in which a row must catch its bug, where nothing is said.
const SECONDS: &str = "60";

struct Planted {
    name: String,
    row: &'static str,
    about: String,
    /// One of the server, which the simulation does not know.
    is_of_server: bool,
}

/// The row that catches a bug of the server.
fn catcher(bug: &str) -> &'static str {
    match bug {
        "WaitForSubscribers" => "stuck-subscriber",
        "QueueWithoutEnd" | "RefusalWithoutStatus" | "LeakReservation" => "overload",
        "KeepSubscriber" => "soak",
        "StaleHead" => "server-histories",
        other => panic!("no row is to catch {other}: say which here"),
    }
}

/// All that rows here are to catch.
fn table() -> Vec<Planted> {
    let here = rows::all();
    let of_engine = factum_sim::planted::table();
    let of_engine = of_engine.filter(|(_, row, _)| here.iter().any(|one| one.name == *row));
    let of_engine = of_engine.map(|(name, row, about)| Planted {
        name,
        row,
        about: about.to_owned(),
        is_of_server: false,
    });
    let mut ask = Command::new(server::program().expect("FACTUM_BIN is the built factum"));
    let told = ask.env("FACTUM_BUG", "list").output().expect("it runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let of_server = told.lines().filter_map(|line| line.split_once(' ')).map(|(name, about)| {
        let (name, about) = (name.to_owned(), about.to_owned());
        Planted { row: catcher(&name), name, about, is_of_server: true }
    });
    let all: Vec<_> = of_engine.chain(of_server).collect();
    assert!(all.iter().any(|one| one.is_of_server), "this factum was built without the feature");
    all
}

/// Those of the server: the others are in the table of the simulation.
pub(crate) fn print_table() -> ExitCode {
    for Planted { name, row, about, .. } in table().iter().filter(|one| one.is_of_server) {
        println!("planted {name} {row} {about}");
    }
    ExitCode::SUCCESS
}

/// Plants each, or those that `FACTUM_BUG` names, and runs the row that is to catch it.
pub(crate) fn run() -> ExitCode {
    let only = std::env::var("FACTUM_BUG").ok();
    let is_chosen =
        |one: &Planted| only.as_ref().is_none_or(|o| o.split(',').any(|name| name == one.name));
    let (_, skipped) = rows::possible();
    let (mut passed, mut failed) = (0, 0);
    for Planted { name, row, .. } in table().iter().filter(|one| is_chosen(one)) {
        if let Some((_, why)) = skipped.iter().find(|(skipped, _)| skipped == row) {
            println!("{name:<22} not tried: {row} cannot run here ({why})");
            continue;
        }
        let mut child = Command::new(worker::program());
        let seconds = std::env::var("SIM_SECONDS").unwrap_or_else(|_| SECONDS.to_owned());
        child.env("FACTUM_BUG", name).env("ROW", row).env("SIM_SECONDS", seconds);
        let told = child.output().expect("this program runs");
        let told = String::from_utf8_lossy(&told.stdout);
        let find = told.lines().skip_while(|line| !line.starts_with(row)).nth(1);
        match find.filter(|_| told.contains("1 failed")) {
            Some(find) => {
                passed += 1;
                println!("{name:<22} caught by {row}\n  {:.200}", find.trim_start());
            }
            None => {
                failed += 1;
                println!("{name:<22} NOT CAUGHT by {row}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
