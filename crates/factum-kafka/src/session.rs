//! One life of a processor: a producer and a subscription, batch after batch, until something is
//! wrong that only new ones can mend.

use crate::{
    binding::Record,
    consumer::KafkaConsumer,
    dead::DeadLetters,
    deliveries::KafkaDeliveries,
    processor::{KafkaProcessor, ProcessorState, pause},
    reader::Client,
    settlement::Settlement,
    shelf::Place,
    transaction::{Failed, Offsets, Put, Transactions},
    window::Handing,
};
use factum_app::{
    bus::HandlerError,
    message::{ConsumeError, Message, Outgoing, Subscription},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer as _, ConsumerGroupMetadata},
};
use std::{
    collections::{BTreeMap, HashSet},
    pin::Pin,
    sync::Weak,
    time::Duration,
};
use tokio::{select, time::sleep};

/// How long what is handed out is waited for when the group is left; nothing is, then.
const LEAVE: Duration = Duration::from_secs(1);

pub(crate) struct Session<'a> {
    of: &'a KafkaProcessor,
    transactions: Transactions,
    deliveries: KafkaDeliveries,
    client: Weak<Client>,
    /// Of each partition the message that was tried and not processed.
    failures: BTreeMap<Place, Failure>,
    attempts_max: u32,
    most: usize,
}

struct Failure {
    offset: i64,
    attempts: u32,
    why: String,
}

/// What is to be committed together.
#[derive(Default)]
struct Batch {
    done: Vec<Settlement>,
    puts: Vec<Put>,
    /// Which of them go to dead letters.
    dead: HashSet<usize>,
}

/// What becomes of one message.
enum Verdict {
    Publish(Vec<Outgoing>),
    Aside { why: String, attempts: u32 },
    Again(Duration),
}

impl<'a> Session<'a> {
    /// The producer first: what a former instance has left open is ended before anybody looks how
    /// far the group is.
    pub(crate) async fn open(
        of: &'a KafkaProcessor,
        subscription: &Subscription,
    ) -> Result<Self, Failed> {
        let transactions = Transactions::open(&of.options, &of.name, of.told.next()).await?;
        let consumer = KafkaConsumer { options: of.options.clone(), told: of.told.clone() };
        // Attempts are counted here, and dead letters are in the transaction.
        let plain = Subscription { deliveries_max: None, ..subscription.clone() };
        let (deliveries, client) = consumer.subscribe(&plain, Handing::InLine).await?;
        Ok(Self {
            of,
            transactions,
            deliveries,
            client,
            failures: BTreeMap::new(),
            attempts_max: subscription.deliveries_max.unwrap_or(u32::MAX),
            most: usize::from(subscription.prefetch),
        })
    }

    /// Batch after batch. Ends when that is asked for, or with what only a new session can mend.
    pub(crate) async fn run<F, Done>(
        mut self,
        function: &F,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        attempt: &mut u32,
    ) -> Result<(), Failed>
    where
        F: Fn(Message) -> Done,
        Done: Future<Output = Result<Vec<Outgoing>, HandlerError>>,
    {
        self.of.say(|status| status.state = ProcessorState::Running);
        loop {
            let taken = select! {
                biased;
                () = stop.as_mut() => break,
                taken = self.deliveries.take_some(self.most) => taken?,
            };
            let batch = self.process(taken, function).await;
            match self.commit(batch).await {
                Ok(()) => *attempt = 0,
                Err(Failed::Aborted { why, .. }) => {
                    self.of.say(|status| {
                        status.aborted += 1;
                        status.state = ProcessorState::Away { why };
                    });
                    select! {
                        biased;
                        () = stop.as_mut() => break,
                        () = sleep(pause(*attempt)) => *attempt += 1,
                    }
                }
                Err(other) => return Err(other),
            }
        }
        self.deliveries.leave(LEAVE).await?;
        Ok(())
    }

    /// What is behind a message that is tried again later waits with it: dropped, it is given back.
    async fn process<F, Done>(&mut self, taken: Vec<Settlement>, function: &F) -> Batch
    where
        F: Fn(Message) -> Done,
        Done: Future<Output = Result<Vec<Outgoing>, HandlerError>>,
    {
        let (mut batch, mut held) = (Batch::default(), HashSet::new());
        for settlement in taken {
            let place = settlement.ticket.place.clone();
            if held.contains(&place) {
                continue;
            }
            match self.judge(&settlement, function).await {
                Verdict::Publish(outgoing) => batch.publish(settlement, outgoing, self.of),
                Verdict::Aside { why, attempts } => batch.put_aside(settlement, &why, attempts),
                Verdict::Again(after) => {
                    held.insert(place);
                    // Where its partition is gone, it comes again elsewhere.
                    let _ = settlement.give_back(after);
                }
            }
        }
        batch
    }

    async fn judge<F, Done>(&mut self, settlement: &Settlement, function: &F) -> Verdict
    where
        F: Fn(Message) -> Done,
        Done: Future<Output = Result<Vec<Outgoing>, HandlerError>>,
    {
        let (place, pick) = (&settlement.ticket.place, &settlement.ticket.pick);
        let failed = self.failures.get(place).filter(|one| one.offset == pick.offset);
        let attempts = failed.map_or(0, |one| one.attempts);
        if let Some(failed) = failed.filter(|one| one.attempts >= self.attempts_max) {
            return Verdict::Aside { why: failed.why.clone(), attempts };
        }
        let message = match pick.record.message() {
            Ok(message) => message,
            Err(malformed) => return Verdict::Aside { why: malformed.why, attempts: 1 },
        };
        let error = match function(message).await {
            Ok(outgoing) => match self.too_large(&outgoing) {
                None => return Verdict::Publish(outgoing),
                Some(why) => HandlerError::poison(why),
            },
            Err(error) => error,
        };
        if !error.retryable || attempts + 1 >= self.attempts_max {
            return Verdict::Aside { why: error.why, attempts: attempts + 1 };
        }
        Verdict::Again(self.failed(place.clone(), pick.offset, error.why))
    }

    /// Counts a failure; how long the message waits.
    fn failed(&mut self, place: Place, offset: i64, why: String) -> Duration {
        let before = self.failures.get(&place).filter(|one| one.offset == offset);
        let before = before.map_or(0, |one| one.attempts);
        self.failures.insert(place, Failure { offset, attempts: before + 1, why });
        pause(before)
    }

    fn too_large(&self, outgoing: &[Outgoing]) -> Option<String> {
        let (mode, max) = (self.of.options.mode, self.of.options.max_bytes);
        let sizes = outgoing.iter().map(|one| Record::of(&one.message, mode).bytes());
        let bytes = sizes.max().filter(|bytes| *bytes > max)?;
        Some(format!("it becomes a message of {bytes} bytes, where {max} are taken"))
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), Failed> {
        if batch.done.is_empty() {
            return Ok(());
        }
        let group = self.group().await?;
        // After the generation of the group was read: what leaves this instance from here on leaves
        // in a later one, and the cluster refuses the offsets.
        let tickets = || batch.done.iter().map(|one| &one.ticket);
        if !self.deliveries.shelf().holds(tickets()) {
            return Ok(());
        }
        let offsets = Offsets { list: batch.offsets(), group };
        match self.transactions.commit(&batch.puts, offsets).await {
            Ok(()) => {
                self.deliveries.shelf().settled_and_committed(tickets());
                self.committed(batch);
                Ok(())
            }
            Err(failed) => Err(self.aborted(batch, failed)),
        }
    }

    /// The generation of the group that this instance knows.
    async fn group(&self) -> Result<ConsumerGroupMetadata, Failed> {
        let client = self.client.clone();
        let ask = move || client.upgrade()?.group_metadata();
        let group = tokio::task::spawn_blocking(ask).await.ok().flatten();
        group.ok_or_else(|| Failed::Over("the group was left".to_owned()))
    }

    fn committed(&mut self, batch: Batch) {
        let dead = batch.dead.len() as u64;
        self.of.say(|status| {
            status.state = ProcessorState::Running;
            status.processed += batch.done.len() as u64;
            status.published += batch.puts.len() as u64 - dead;
            status.dead += dead;
        });
        for settlement in batch.done {
            let (place, pick) = (&settlement.ticket.place, &settlement.ticket.pick);
            if self.failures.get(place).is_some_and(|one| one.offset <= pick.offset) {
                self.failures.remove(place);
            }
            settlement.done();
        }
    }

    /// A message whose record the cluster refuses has failed, as if its function had.
    fn aborted(&mut self, batch: Batch, failed: Failed) -> Failed {
        let Failed::Aborted { of: Some((guilty, error)), why } = &failed else { return failed };
        if error.is_retryable() {
            return failed;
        }
        if batch.dead.contains(guilty) {
            return Failed::Refused(format!("a message cannot be put aside: {why}"));
        }
        if let Some(settlement) = batch.done.into_iter().nth(*guilty) {
            let (place, pick) = (settlement.ticket.place.clone(), &settlement.ticket.pick);
            let after = self.failed(place, pick.offset, why.clone());
            // Where its partition is gone, it comes again elsewhere.
            let _ = settlement.give_back(after);
        }
        failed
    }
}

impl Batch {
    fn publish(&mut self, settlement: Settlement, outgoing: Vec<Outgoing>, by: &KafkaProcessor) {
        let of = self.done.len();
        self.puts.extend(outgoing.into_iter().map(|one| {
            let record = Record::of(&one.message, by.options.mode);
            Put { of, topic: one.topic, record }
        }));
        self.done.push(settlement);
    }

    fn put_aside(&mut self, mut settlement: Settlement, why: &str, attempts: u32) {
        let of = self.done.len();
        settlement.ticket.pick.attempt = attempts;
        let dead: &DeadLetters = &settlement.dead;
        let topic = dead.topic(&settlement.ticket.place.0);
        self.puts.push(Put { of, topic, record: dead.record(&settlement.ticket, why) });
        self.dead.insert(of);
        self.done.push(settlement);
    }

    /// After the last of each partition.
    fn offsets(&self) -> TopicPartitionList {
        let mut last = BTreeMap::new();
        for one in &self.done {
            last.insert(&one.ticket.place, one.ticket.pick.offset + 1);
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in last {
            // It fails for an offset that is none; these were given by the broker.
            let _ = list.add_partition_offset(topic, *partition, Offset::Offset(offset));
        }
        list
    }
}

impl From<ConsumeError> for Failed {
    fn from(error: ConsumeError) -> Self {
        match error {
            ConsumeError::Unavailable { why } => Self::Over(why),
            other => Self::Refused(other.to_string()),
        }
    }
}
