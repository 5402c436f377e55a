//! What the broker holds: what it keeps, and each group with what waits for it and what it has.

use super::lanes::{LaneId, Lanes, Next, Waiting};
use crate::message::{Group, Malformed, Message, PublishError, Start, Subscription};
use factum_core::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};
use tokio::sync::Notify;

/// A message, or what was there instead.
pub(super) type Body = Result<Message, Malformed>;

/// How much the broker holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryLimits {
    /// The largest message, in bytes.
    pub message_bytes_max: u64,
    /// How many messages wait for a group, at most. What would be more is refused.
    pub waiting_max: usize,
    /// How many of the newest messages are kept for groups that begin with the oldest.
    pub kept_max: usize,
    /// How many dead letters a group has, at most. What would be more comes again.
    pub dead_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        let message_bytes_max = 16 << 20;
        Self { message_bytes_max, waiting_max: 100_000, kept_max: 10_000, dead_max: 10_000 }
    }
}

/// A message that was put aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadMessage {
    /// Where it was published to.
    pub topic: String,
    /// The message, or what was there instead.
    pub message: Result<Message, Malformed>,
    /// Why.
    pub why: String,
    /// How often it had been handed out.
    pub attempts: u32,
}

/// A message, at its place among all.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) number: u64,
    pub(super) content: Arc<(String, Body)>,
}

impl Copy {
    pub(super) fn lane(&self) -> LaneId {
        let key = self.content.1.as_ref().ok().and_then(|message| message.key.clone());
        key.map_or(LaneId::Alone(self.number), LaneId::Key)
    }
}

/// A group by its name, or one that an instance has for itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum GroupId {
    Shared(String),
    Own(u64),
}

#[derive(Debug)]
pub(super) struct Handed {
    pub(super) instance: u64,
    deliveries_max: Option<u32>,
    waiting: Waiting,
}

#[derive(Debug, Default)]
pub(super) struct GroupState {
    topics: HashSet<String>,
    lanes: Lanes,
    /// By the number of the delivery.
    handed: BTreeMap<u64, Handed>,
    dead: VecDeque<DeadMessage>,
    /// Something may be there for who waits.
    pub(super) changed: Arc<Notify>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) away: bool,
    pub(super) declared: Option<HashSet<String>>,
    last: u64,
    kept: VecDeque<Copy>,
    pub(super) groups: HashMap<GroupId, GroupState>,
}

/// How something that was handed out ends.
pub(super) enum End {
    Acked,
    Back(Option<Timestamp>),
    Dead(String),
}

impl State {
    /// A number that was not used before.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn accept(
        &mut self,
        topic: &str,
        body: Body,
        limits: &MemoryLimits,
    ) -> Result<(), PublishError> {
        if self.away {
            return Err(PublishError::Unavailable { why: "it was told to go away".into() });
        }
        if self.declared.as_ref().is_some_and(|declared| !declared.contains(topic)) {
            let why = "it was not declared".into();
            return Err(PublishError::Unroutable { topic: topic.to_owned(), why });
        }
        let takes = |group: &GroupState| group.topics.iter().any(|one| matches(one, topic));
        if let Some((id, _)) = self
            .groups
            .iter()
            .find(|(_, group)| takes(group) && group.lanes.waiting() >= limits.waiting_max)
        {
            let why = format!("{} messages wait for {id:?}, and no more may", limits.waiting_max);
            return Err(PublishError::Unavailable { why });
        }
        let copy = Copy { number: self.number(), content: Arc::new((topic.to_owned(), body)) };
        for group in self.groups.values_mut().filter(|group| takes(group)) {
            group.put(copy.clone());
        }
        self.kept.push_back(copy);
        let over = self.kept.len().saturating_sub(limits.kept_max);
        self.kept.drain(..over);
        Ok(())
    }

    /// The group that a subscription is of, made where it was not there.
    pub(super) fn join(&mut self, subscription: &Subscription, instance: u64) -> GroupId {
        let id = match &subscription.group {
            Group::Shared(name) => GroupId::Shared(name.clone()),
            Group::Broadcast => GroupId::Own(instance),
        };
        let is_new = !self.groups.contains_key(&id);
        let group = self.groups.entry(id.clone()).or_default();
        group.topics.extend(subscription.topics.iter().cloned());
        if is_new && subscription.start == Start::Oldest {
            let takes = |copy: &&Copy| group.topics.iter().any(|one| matches(one, &copy.content.0));
            let old = self.kept.iter().filter(takes).cloned().collect::<Vec<_>>();
            old.into_iter().for_each(|copy| group.put(copy));
        }
        id
    }

    /// An instance is gone: what it had comes again, and a group of its own ends with it.
    pub(super) fn leave(&mut self, id: &GroupId, instance: u64, limits: &MemoryLimits) {
        if matches!(id, GroupId::Own(_)) {
            self.groups.remove(id);
        } else if let Some(group) = self.groups.get_mut(id) {
            group.give_back(|handed| handed.instance == instance, limits);
        }
    }

    pub(super) fn go_away(&mut self, limits: &MemoryLimits) {
        self.away = true;
        self.groups.values_mut().for_each(|group| group.give_back(|_| true, limits));
    }

    pub(super) fn come_back(&mut self) {
        self.away = false;
        self.groups.values().for_each(|group| group.changed.notify_waiters());
    }

    pub(super) fn dead_letters(&self, group: &str) -> Vec<DeadMessage> {
        let group = self.groups.get(&GroupId::Shared(group.to_owned()));
        group.map(|group| group.dead.iter().cloned().collect()).unwrap_or_default()
    }
}

impl GroupState {
    fn put(&mut self, copy: Copy) {
        self.lanes.put(Waiting { copy, attempts: 0, not_before: None });
        self.changed.notify_waiters();
    }

    /// How many messages an instance has.
    pub(super) fn held(&self, instance: u64) -> usize {
        self.handed.values().filter(|handed| handed.instance == instance).count()
    }

    /// Hands out the next to an instance, as the delivery of this number.
    pub(super) fn hand_out(
        &mut self,
        number: u64,
        instance: u64,
        now: Timestamp,
        deliveries_max: Option<u32>,
    ) -> Result<Waiting, Option<Timestamp>> {
        let mut waiting = match self.lanes.take(instance, now) {
            Next::Message(waiting) => *waiting,
            Next::Until(at) => return Err(Some(at)),
            Next::Nothing => return Err(None),
        };
        waiting.attempts += 1;
        let handed = Handed { instance, deliveries_max, waiting: waiting.clone() };
        self.handed.insert(number, handed);
        Ok(waiting)
    }

    /// Ends a delivery; `false` where it is not known any more, or cannot end so.
    pub(super) fn settle(&mut self, number: u64, end: End, limits: &MemoryLimits) -> bool {
        let Some(Handed { deliveries_max, mut waiting, .. }) = self.handed.remove(&number) else {
            return false;
        };
        let lane = waiting.copy.lane();
        let end = match end {
            End::Back(_) if deliveries_max.is_some_and(|max| waiting.attempts >= max) => {
                End::Dead(format!("handed out {} times", waiting.attempts))
            }
            end => end,
        };
        let mut done = true;
        match end {
            End::Acked => {}
            End::Dead(why) if self.dead.len() < limits.dead_max => {
                let (topic, message) = waiting.copy.content.as_ref().clone();
                self.dead.push_back(DeadMessage {
                    topic,
                    message,
                    why,
                    attempts: waiting.attempts,
                });
            }
            End::Dead(_) => {
                done = false;
                self.lanes.put(waiting);
            }
            End::Back(not_before) => {
                waiting.not_before = not_before;
                self.lanes.put(waiting);
            }
        }
        self.lanes.release(&lane);
        self.changed.notify_waiters();
        done
    }

    fn give_back(&mut self, which: impl Fn(&Handed) -> bool, limits: &MemoryLimits) {
        let back = self.handed.iter().filter(|(_, handed)| which(handed));
        let back = back.map(|(number, _)| *number).collect::<Vec<_>>();
        for number in back {
            self.settle(number, End::Back(None), limits);
        }
        self.changed.notify_waiters();
    }
}

/// Whether a topic is one of a pattern: `*` is any word, `#` at the end any that follow.
fn matches(pattern: &str, topic: &str) -> bool {
    let (mut pattern, mut topic) = (pattern.split('.'), topic.split('.'));
    loop {
        match (pattern.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

pub(super) fn refuse_topic(topic: &str) -> Result<(), PublishError> {
    let wrong = |word: &str| word.is_empty() || word.contains(['*', '#']);
    match topic.split('.').any(wrong) {
        false => Ok(()),
        true => {
            let why = format!("{topic:?} is no topic: words with dots between, without * and #");
            Err(PublishError::Refused { why })
        }
    }
}

/// How many bytes a message has, its attributes included.
pub(super) fn size(body: &Body) -> u64 {
    let bytes = match body {
        Ok(message) => {
            let attributes = message.attributes().map(|(name, value)| name.len() + value.len());
            attributes.sum::<usize>() + message.data.len()
        }
        Err(malformed) => malformed.bytes.len(),
    };
    bytes as u64
}
