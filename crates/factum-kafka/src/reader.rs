//! The thread that reads for a subscription: librdkafka hands out messages, and asks what is to
//! happen when partitions come and go, to whoever polls it, so one thread does, and nothing else.

use crate::{
    binding::Record,
    client::Told,
    error::{TopicError, refusal},
    shelf::{Offsets, Place, Shelf},
    topics::look,
};
use factum_app::message::ConsumeError;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the thread waits for a message, before it looks what else is to be done.
const POLL: Duration = Duration::from_millis(50);
/// How long it waits for room, before it pauses: a short wait costs nothing, while what was fetched
/// of a paused partition is fetched again.
const ROOM: Duration = Duration::from_millis(200);
/// How long after one that failed the next commit is tried.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a topic is said to be gone before that is believed: a broker that has begun anew, or
/// hears late of what the others know, says so of topics that are there.
const GONE: Duration = Duration::from_secs(60);

/// What librdkafka calls back.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) told: Told,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) revoke_wait: Duration,
}

pub(crate) type Client = BaseConsumer<Context>;

/// The thread that reads, and one beside it that commits: a commit waits for the broker, and
/// `rdkafka` tells nobody how one that does not wait has ended.
pub(crate) struct Reader {
    client: Arc<Client>,
    shelf: Arc<Shelf>,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.told.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, client: &Client, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let places = places(list);
        if !client.assignment_lost() {
            self.shelf.leave(&places, self.revoke_wait);
            commit_now(client, &self.shelf, &places);
        }
        self.shelf.remove(&places);
        // What is paused when it leaves is paused when it comes back, for librdkafka.
        let _ = client.resume(&bare(&places));
    }

    fn post_rebalance(&self, _: &Client, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.shelf.assign(places(list));
        }
    }
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    list.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect()
}

fn list(offsets: &Offsets) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), (_, offset)) in offsets {
        // It fails for an offset that is none; these were given by the broker.
        let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
    }
    list
}

fn bare(places: &[Place]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}

/// Commits what is settled of these, and waits for the broker. What it does not take comes again.
fn commit_now(client: &Client, shelf: &Shelf, places: &[Place]) {
    let due = shelf.due(places);
    if !due.is_empty() && client.commit(&list(&due), CommitMode::Sync).is_ok() {
        shelf.committed(due);
    }
}

/// Commits what is due, one commit at a time, so that what is settled meanwhile shares the next.
fn commit_all(client: &Client, shelf: &Shelf) {
    while let Some(due) = shelf.wait_for_due() {
        match client.commit(&list(&due), CommitMode::Sync) {
            Ok(()) => shelf.committed(due),
            Err(_) => shelf.commit_later(AGAIN),
        }
    }
}

impl Reader {
    pub(crate) fn new(client: Arc<Client>, shelf: Arc<Shelf>) -> Self {
        Self { client, shelf }
    }

    /// Until it is told to end: then what is settled is committed, and the group is left.
    pub(crate) fn run(self) {
        let (client, shelf) = (Arc::clone(&self.client), Arc::clone(&self.shelf));
        let committer = std::thread::spawn(move || commit_all(&client, &shelf));
        let (mut paused, mut gone) = (Vec::new(), None);
        while !self.shelf.is_stopped() {
            self.make_room(&mut paused);
            self.look_for_gone(&mut gone);
            match self.client.poll(POLL) {
                Some(Ok(message)) => {
                    let place = (message.topic().to_owned(), message.partition());
                    self.shelf.take(&place, message.offset(), Record::taken(&message));
                }
                Some(Err(error)) => self.hear(&error, &mut gone),
                None => {}
            }
        }
        // It fails only where it panicked.
        let _ = committer.join();
        commit_now(&self.client, &self.shelf, &self.shelf.places());
        self.shelf.remove(&self.shelf.places());
        // Its end leaves the group, and waits for librdkafka's threads.
        drop(self.client);
    }

    /// Pauses what has no room, lets go on what has.
    fn make_room(&self, paused: &mut Vec<Place>) {
        let mut room = self.shelf.room();
        if !room.any && paused.is_empty() {
            self.shelf.wait_for_room(ROOM);
            room = self.shelf.room();
        }
        let stay_paused = !paused.is_empty() && !room.half;
        let wanted = if room.any && !stay_paused { room.full } else { self.shelf.places() };
        let (now, before): (HashSet<_>, HashSet<_>) =
            (wanted.iter().cloned().collect(), paused.iter().cloned().collect());
        if now == before {
            return;
        }
        let held = self.shelf.places().into_iter().collect::<HashSet<_>>();
        let pause = now.difference(&before).cloned().collect::<Vec<_>>();
        let resume = before.difference(&now).filter(|place| held.contains(*place)).cloned();
        // Both fail for a partition that is gone meanwhile.
        let _ = self.client.pause(&bare(&pause));
        let _ = self.client.resume(&bare(&resume.collect::<Vec<_>>()));
        *paused = wanted;
    }

    /// Where a topic was said to be gone long ago: whether it is. librdkafka says so once, and goes
    /// on looking itself.
    fn look_for_gone(&self, gone: &mut Option<Instant>) {
        if gone.is_none_or(|since| since.elapsed() < GONE) {
            return;
        }
        // Where no broker answers, it is looked again so much later.
        *gone = Some(Instant::now());
        let Ok(topics) = self.client.subscription() else { return };
        let looks = topics.elements().into_iter();
        let looks = looks.map(|one| look(self.client.client(), one.topic()));
        match looks.collect::<Result<Vec<_>, _>>() {
            Ok(_) => *gone = None,
            Err(TopicError::Away(_)) => {}
            Err(error) => self.shelf.say(error.of_consuming()),
        }
    }

    fn hear(&self, error: &KafkaError, gone: &mut Option<Instant>) {
        let client = &self.client;
        let Some(code) = error.rdkafka_error_code() else { return };
        let refused = |why: String| self.shelf.say(ConsumeError::Refused { why });
        match code {
            Code::AllBrokersDown => self.shelf.lost(),
            Code::UnknownTopicOrPartition | Code::UnknownTopic => {
                gone.get_or_insert_with(Instant::now);
            }
            _ => {
                client.context().told.error(error.clone(), &error.to_string());
                if let Some(cure) = refusal(code) {
                    refused(format!("{error}: {cure}"));
                } else if let Some((_, why)) = client.client().fatal_error() {
                    refused(format!("{why}: subscribe anew"));
                }
            }
        }
    }
}
