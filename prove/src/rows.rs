//! The rows, and what each needs of the machine.

mod errors;
mod full;
mod histories;
mod kill;
mod overload;
mod power_cut;
mod served;
mod soak;
mod stuck;

use crate::{mounts, server, strace};
use factum_sim::rows::{Row, row};

/// A row, and why it cannot run here.
struct Here {
    row: Row,
    is_missing: fn() -> Option<String>,
}

const fn here(row: Row, is_missing: fn() -> Option<String>) -> Here {
    Here { row, is_missing }
}

const HERE: &[Here] = &[
    here(
        row("kill-at-call", "kills", kill::at_call).size(300, 0).numbered(kill::CASES).share(6),
        strace::is_missing,
    ),
    here(row("kill-at-random", "kills", kill::at_random).size(200, 5_000).share(3), || None),
    here(
        row("call-errors", "runs", errors::case).size(100, 0).numbered(errors::CASES).share(3),
        strace::is_missing,
    ),
    here(
        row("server-kill-at-call", "kills", served::kill_at_call)
            .size(60, 0)
            .numbered(served::KILLS)
            .share(5),
        served::is_missing,
    ),
    here(
        row("server-call-errors", "runs", served::call_errors)
            .size(40, 0)
            .numbered(served::ERRORS)
            .share(4),
        served::is_missing,
    ),
    here(
        row("ext4-power-cut", "cuts", power_cut::case).size(100, 2_000).share(4),
        mounts::images_are_missing,
    ),
    here(row("full-disk", "fills", full::case).size(20, 1_000).share(2), mounts::are_missing),
    here(
        row("server-histories", "histories", histories::case).size(30, 20_000).share(4),
        server::is_missing,
    ),
    here(row("stuck-subscriber", "rounds", stuck::case).size(6, 900).share(6), server::is_missing),
    here(row("overload", "seconds", overload::case).size(3, 1_800).share(6), overload::is_missing),
    here(row("soak", "seconds", soak::case).size(5, 7_200).share(8), server::is_opaque),
];

/// All of them.
pub(crate) fn all() -> Vec<Row> {
    HERE.iter().map(|here| here.row).collect()
}

/// Those that can run here, and the others with the reason.
pub(crate) fn possible() -> (Vec<Row>, Vec<(&'static str, String)>) {
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for Here { row, is_missing } in HERE {
        match is_missing() {
            None => rows.push(*row),
            Some(why) => skipped.push((row.name, why)),
        }
    }
    (rows, skipped)
}
