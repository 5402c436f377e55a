//! The general check (Wing and Gong's): orders are tried until one fits, whatever positions say.
//!
//! Exponential, so for small histories; it keeps the other checker honest.

use super::{Answer, Ask, Call, order::fits};
use crate::model::Model;
use std::collections::HashSet;

/// Calls of a history that are searched, at most.
pub const CALLS_MAX: usize = 14;

/// Whether there is an order of the calls that agrees with the clock and that the model answers
/// so. Calls of unknown outcome may be in it or not. `None`: there are too many to search.
#[must_use]
pub fn is_linearizable(calls: &[Call]) -> Option<bool> {
    if calls.len() > CALLS_MAX {
        return None;
    }
    let calls = calls.iter().filter(|call| !matches!(call.answer, Answer::NotDone)).collect();
    let mut search = Search { calls, dead_ends: HashSet::new() };
    Some(search.goes_on(0, &Model::default()))
}

struct Search<'a> {
    calls: Vec<&'a Call>,
    /// Which calls were done, and what the log was then: the rest does not fit after it.
    dead_ends: HashSet<(u32, String)>,
}

impl Search<'_> {
    fn goes_on(&mut self, done: u32, model: &Model) -> bool {
        let is_left = |nth: &usize| done & 1 << nth == 0;
        let left: Vec<usize> = (0..self.calls.len()).filter(is_left).collect();
        if left.iter().all(|nth| matches!(self.calls[*nth].answer, Answer::Lost)) {
            return true;
        }
        let key = (done, signature(model));
        if self.dead_ends.contains(&key) {
            return false;
        }
        // Nothing can come before what was answered before it was asked.
        let first_answer = left.iter().map(|nth| self.calls[*nth].to).min().unwrap_or(u64::MAX);
        for nth in left {
            let call = self.calls[nth];
            if call.from > first_answer {
                continue;
            }
            if let Some(model) = after(call, model)
                && self.goes_on(done | 1 << nth, &model)
            {
                return true;
            }
        }
        self.dead_ends.insert(key);
        false
    }
}

/// The model after a call, if it can be answered so now.
fn after(call: &Call, model: &Model) -> Option<Model> {
    let Ask::Write(task) = &call.ask else { return fits(call, model).then(|| model.clone()) };
    let mut after = model.clone();
    let right = after.perform(task);
    match &call.answer {
        Answer::Written(answer) => (*answer == right).then_some(after),
        Answer::Lost => right.is_ok().then_some(after),
        _ => None,
    }
}

/// What tells two states of one set of calls apart: the order of their events, and what is tracked.
fn signature(model: &Model) -> String {
    let events = model.events.iter().map(|event| (event.stream.as_str(), event.said.id));
    format!("{:?} {:?}", events.collect::<Vec<_>>(), model.tracked)
}
