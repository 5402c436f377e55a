//! Waiting for a condition, with a limit: the one place that sleeps.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::Error;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer, or until the limit has passed.
pub(crate) fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || begun.elapsed() >= limit {
            return answer;
        }
        thread::sleep(PAUSE);
    }
}

/// So often is a server started whose port was taken, or whose predecessor had not quite ended.
const STARTS_MAX: u32 = 5;

/// Starts a server; once more where it ended instead of serving.
pub(crate) fn again<T>(mut start: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut starts = 1;
    loop {
        match start() {
            Err(Error::Ended { .. }) if starts < STARTS_MAX => starts += 1,
            outcome => return outcome,
        }
    }
}
