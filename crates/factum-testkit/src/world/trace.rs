//! What happened in a run: the last steps in words, and a digest of all of them.

use factum_core::Timestamp;
use std::{collections::VecDeque, fmt::Write};

/// How many steps are remembered; of earlier ones the digest knows.
const LINES_MAX: usize = 20_000;

/// What a task did, or what was done to it.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub(super) enum Act {
    Spawned,
    Polled,
    Ended,
    Dropped,
    Noted(String),
}

#[derive(Debug)]
struct Line {
    at: Timestamp,
    task: u64,
    act: Act,
}

/// The steps of a run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    began: Option<Timestamp>,
    lines: VecDeque<Line>,
    count: u64,
    digest: u64,
}

impl Trace {
    pub(super) fn add(&mut self, at: Timestamp, task: u64, act: Act) {
        self.began.get_or_insert(at);
        self.count += 1;
        let number: u64 = match &act {
            Act::Spawned => 1,
            Act::Polled => 2,
            Act::Ended => 3,
            Act::Dropped => 4,
            Act::Noted(text) => text.bytes().fold(5, |all, byte| absorb(all, u64::from(byte))),
        };
        for word in [at.0.cast_unsigned(), task, number] {
            self.digest = absorb(self.digest, word);
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, task, act });
    }

    pub(super) fn show(&self, name: impl Fn(u64) -> String) -> String {
        let mut shown = format!("{} steps, digest {:016x}\n", self.count, self.digest);
        for Line { at, task, act } in &self.lines {
            let name = name(*task);
            let what = match act {
                Act::Spawned => "spawned",
                Act::Polled => "polled",
                Act::Ended => "ended",
                Act::Dropped => "dropped",
                Act::Noted(text) => text,
            };
            let since = self.since(*at);
            // Writing to a string does not fail.
            let _ = writeln!(shown, "{since} {name}: {what}");
        }
        shown
    }

    /// A time as what has passed since the run began.
    pub(super) fn since(&self, at: Timestamp) -> String {
        let nanos = at.0.saturating_sub(self.began.unwrap_or(at).0);
        format!("+{}.{:06}s", nanos / 1_000_000_000, nanos % 1_000_000_000 / 1_000)
    }
}

fn absorb(all: u64, word: u64) -> u64 {
    crate::build::mix(all ^ word)
}
