//! The framework in the simulated world, at the size of a change.

#[path = "rows/mod.rs"]
mod rows;

use factum_testkit::{Counts, Fault, Report, Sim, at_every_append, seeds};

/// Every fault that an append may have.
const FAULTS: [Fault; 4] =
    [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseReply, Fault::LoseRequest];

#[allow(clippy::print_stdout, reason = "how far it got, for who runs it with --nocapture")]
fn tried(name: &str, runs: u64, counts: Counts) {
    println!("{name}: {runs} runs, {counts:?}");
}

#[test]
fn decisions_are_made_on_all_facts() {
    let mut runs = 0;
    let mut last = Report::default();
    for seed in seeds(60) {
        last = rows::decisions::run(Sim::new(seed));
        runs += 1;
    }
    assert!(last.counts.commits > 5, "{last:?}");
    tried("decisions", runs, last.counts);
}

#[test]
fn decisions_survive_a_fault_at_each_append() {
    let (calm, runs) = at_every_append(1, &FAULTS, rows::decisions::run);
    assert!(runs >= 60, "{runs} runs");
    tried("decisions", runs, calm.counts);
}

#[test]
fn views_are_the_facts_and_steps_are_done_once() {
    let mut runs = 0;
    let mut last = Report::default();
    for seed in seeds(25) {
        last = rows::shop::run(Sim::new(seed));
        runs += 1;
    }
    tried("shop", runs, last.counts);
}

#[test]
fn rows_of_an_outbox_are_published_in_order_whoever_is_killed() {
    let restarts: u64 = seeds(40).map(|seed| rows::outbox::run(Sim::new(seed)).restarts).sum();
    assert!(restarts > 40, "only {restarts} relays were killed");
}

#[test]
fn commands_of_other_services_are_done_once_as_their_senders_are_told() {
    let restarts: u64 = seeds(25).map(|seed| rows::commands::run(Sim::new(seed)).restarts).sum();
    assert!(restarts > 50, "only {restarts} services were killed");
}

#[test]
fn a_simulation_of_an_app_is_the_same_again() {
    let (mut restarts, mut lost) = (0, 0);
    for seed in seeds(10) {
        let one = rows::decisions::run(Sim::new(seed));
        let other = rows::decisions::run(Sim::new(seed));
        assert!(one == other, "SEED={seed}: {}\n---\n{}", one.trace, other.trace);
        restarts += one.restarts;
        lost += one.counts.lost_replies;
    }
    assert!(restarts > 0 && lost > 0, "the simulation disturbs nobody");
}
