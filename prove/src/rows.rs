//! The rows, and what each needs of the machine.

mod errors;
mod full;
mod histories;
mod kill;
mod power_cut;

use crate::{mounts, strace};
use factum_sim::rows::{Case, Cases, Row};

/// A row, and why it cannot run here.
struct Here {
    row: Row,
    is_missing: fn() -> Option<String>,
}

const fn row(name: &'static str, unit: &'static str, case: Case) -> Row {
    Row { name, unit, goal: 0, release: 0, share: 1, cases: Cases::Drawn, case }
}

fn here() -> Vec<Here> {
    let numbered = Cases::Numbered;
    vec![
        Here {
            row: Row {
                goal: 300,
                cases: numbered(kill::CASES),
                share: 6,
                ..row("kill-at-call", "kills", kill::at_call)
            },
            is_missing: strace::is_missing,
        },
        Here {
            row: Row {
                goal: 200,
                release: 5_000,
                share: 3,
                ..row("kill-at-random", "kills", kill::at_random)
            },
            is_missing: || None,
        },
        Here {
            row: Row {
                goal: 100,
                cases: numbered(errors::CASES),
                share: 3,
                ..row("call-errors", "runs", errors::case)
            },
            is_missing: strace::is_missing,
        },
        Here {
            row: Row {
                goal: 100,
                release: 2_000,
                share: 4,
                ..row("ext4-power-cut", "cuts", power_cut::case)
            },
            is_missing: mounts::images_are_missing,
        },
        Here {
            row: Row {
                goal: 20,
                release: 1_000,
                share: 2,
                ..row("full-disk", "fills", full::case)
            },
            is_missing: mounts::are_missing,
        },
        Here {
            row: Row {
                goal: 30,
                release: 20_000,
                share: 4,
                ..row("server-histories", "histories", histories::case)
            },
            is_missing: histories::is_missing,
        },
    ]
}

/// All of them.
pub(crate) fn all() -> Vec<Row> {
    here().into_iter().map(|here| here.row).collect()
}

/// Those that can run here, and the others with the reason.
pub(crate) fn possible() -> (Vec<Row>, Vec<(&'static str, String)>) {
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for Here { row, is_missing } in here() {
        match is_missing() {
            None => rows.push(row),
            Some(why) => skipped.push((row.name, why)),
        }
    }
    (rows, skipped)
}
