//! The desk of a running process: which instances have something to do without an event. Pure; the
//! instances themselves are in the store.
//!
//! Bounded by what is outstanding: an instance with nothing to do is not on the desk.

use super::record::{Record, Sent, Timer};
use factum_core::{Position, Timestamp, Uuid};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

/// How many commands of a process are on their way at once, at most.
pub(crate) const FLYING_MAX: usize = 64;
/// How many of the longest outstanding instances a checkpoint names. What is outstanding since then
/// is found by reading on from where the checkpoint says.
pub(crate) const NAMED_MAX: usize = 1_000;

pub(crate) type Key = Arc<str>;

/// A timer that goes off at `at`: when it is due, or later, where that did not work.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Alarm {
    pub(crate) at: Timestamp,
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) due: Timestamp,
}

/// How often a command was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tries {
    pub(crate) made: u32,
    /// How often it may be, if that was said.
    pub(crate) max: Option<u32>,
}

#[derive(Debug)]
struct Entry {
    /// Its last step stands after this position.
    since: Position,
    to_do: Option<Sent>,
    /// How often `to_do` was tried.
    attempts: u32,
    /// When it is tried again.
    retry: Option<Timestamp>,
    alarms: Vec<Alarm>,
}

/// The desk.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    entries: HashMap<Key, Entry>,
    alarms: BTreeSet<Alarm>,
    retries: BTreeSet<(Timestamp, Key)>,
    ready: VecDeque<Key>,
    /// The commands on their way.
    flying: HashMap<Key, Uuid>,
}

impl Desk {
    /// Forgets all but what is on its way.
    pub(crate) fn clear(&mut self) {
        let flying = std::mem::take(&mut self.flying);
        *self = Self { flying, ..Self::default() };
    }

    /// Knows of no timer any more: a bug on purpose.
    pub(crate) fn forget_timers(&mut self) {
        self.alarms.clear();
    }

    /// An instance is as `record` says; its last step stands after `since`.
    pub(crate) fn put(&mut self, key: &Key, since: Position, record: &Record) {
        let before = self.take(key);
        if !record.is_outstanding() {
            return;
        }
        let to_do = record.to_do().cloned();
        let kept = before.filter(|entry| to_do.is_some() && id_of(&entry.to_do) == id_of(&to_do));
        let (attempts, retry) = kept.map_or((0, None), |entry| (entry.attempts, entry.retry));
        let alarms: Vec<_> = record.timers.iter().map(|timer| alarm(key, timer)).collect();
        self.alarms.extend(alarms.iter().cloned());
        match retry {
            Some(at) => {
                self.retries.insert((at, key.clone()));
            }
            None if to_do.is_some() => self.ready.push_back(key.clone()),
            None => {}
        }
        self.entries.insert(key.clone(), Entry { since, to_do, attempts, retry, alarms });
    }

    fn take(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        for alarm in &entry.alarms {
            self.alarms.remove(alarm);
        }
        if let Some(at) = entry.retry {
            self.retries.remove(&(at, key.clone()));
        }
        Some(entry)
    }

    /// The next command that may go; from now on it is on its way.
    pub(crate) fn next_command(&mut self) -> Option<(Key, Sent)> {
        while self.flying.len() < FLYING_MAX {
            let key = self.ready.pop_front()?;
            let entry = self.entries.get(&key).filter(|entry| entry.retry.is_none());
            let sent = entry.and_then(|entry| entry.to_do.clone());
            // What is on its way for this instance comes back first.
            if let Some(sent) = sent.filter(|_| !self.flying.contains_key(&key)) {
                self.flying.insert(key.clone(), sent.id);
                return Some((key, sent));
            }
        }
        None
    }

    /// A command is back. Answers how often it was tried, and may be, if it is still to be done.
    pub(crate) fn landed(&mut self, key: &Key, id: Uuid) -> Option<Tries> {
        self.flying.remove(key);
        let entry = self.entries.get_mut(key)?;
        if id_of(&entry.to_do) != Some(id) {
            // Another one by now: it waited for this one to be back.
            self.ready.push_back(key.clone());
            return None;
        }
        entry.attempts += 1;
        let max = entry.to_do.as_ref().and_then(|sent| sent.attempts_max);
        Some(Tries { made: entry.attempts, max })
    }

    /// The command of an instance is tried again at a time.
    pub(crate) fn retry(&mut self, key: &Key, at: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.retry = Some(at);
            self.retries.insert((at, key.clone()));
        }
    }

    /// A timer that went off is to go off again at a time.
    pub(crate) fn later(&mut self, alarm: Alarm) {
        if let Some(entry) = self.entries.get_mut(&alarm.key) {
            entry.alarms.push(alarm.clone());
            self.alarms.insert(alarm);
        }
    }

    /// The timers that go off by `until`, in the order of time. They do not go off again.
    pub(crate) fn timers_due(&mut self, until: Timestamp) -> Vec<Alarm> {
        let mut due = Vec::new();
        while self.alarms.first().is_some_and(|alarm| alarm.at <= until) {
            let Some(alarm) = self.alarms.pop_first() else { break };
            if let Some(entry) = self.entries.get_mut(&alarm.key) {
                entry.alarms.retain(|one| *one != alarm);
            }
            due.push(alarm);
        }
        due
    }

    /// Commands whose pause is over may go.
    pub(crate) fn retries_due(&mut self, now: Timestamp) {
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.retries.pop_first() else { break };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.retry = None;
            }
            self.ready.push_back(key);
        }
    }

    /// When the next command is tried again.
    pub(crate) fn next_retry(&self) -> Option<Timestamp> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// When the next timer goes off.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.alarms.first().map(|alarm| alarm.at)
    }

    /// What a checkpoint says: these instances, and all that took a step after this position, are
    /// all that may be outstanding. Every step up to `known` is on the desk.
    pub(crate) fn low(&self, known: Position) -> (Position, Vec<Key>) {
        let mut oldest: Vec<_> = self.entries.iter().map(|(key, one)| (one.since, key)).collect();
        oldest.sort_unstable();
        let after = oldest.get(NAMED_MAX).map_or(known, |(since, _)| (*since).min(known));
        let named = oldest.into_iter().take(NAMED_MAX).map(|(_, key)| key.clone());
        (after, named.collect())
    }

    /// How many commands wait for others to be back.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len()
    }
}

fn id_of(sent: &Option<Sent>) -> Option<Uuid> {
    sent.as_ref().map(|sent| sent.id)
}

fn alarm(key: &Key, timer: &Timer) -> Alarm {
    Alarm { at: timer.due(), key: key.clone(), name: timer.name.clone(), due: timer.due() }
}

#[cfg(test)]
mod tests;
