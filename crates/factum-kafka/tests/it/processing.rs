//! Consume, process, produce in transactions: over a broker that keeps their offsets, and over the
//! mock cluster, which can be told to refuse any step of one.
//!
//! The mock cluster answers every request of a transaction and keeps no offset of one; Tansu keeps
//! them, and shows what was aborted to everybody. So here it is looked at what is called again, and
//! where the group is; that readers do not see what was aborted is the cluster's to do.

use crate::support::{LIMIT, all_of, batch, create, everything, ids_of, mock, name, quick};
use factum_app::{
    bus::HandlerError,
    message::{Message, Outgoing, Publisher, Subscription},
};
use factum_kafka::{
    DeadLetter, KafkaProcessor, KafkaPublisher, Options, ProcessError, Processing, ProcessorState,
    rdkafka::{
        ClientConfig, Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer as _},
        types::{RDKafkaApiKey as Api, RDKafkaRespErr as Error},
    },
};
use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Two topics of a cluster, what is in the first, and who processes it.
struct Bed {
    options: Options,
    from: String,
    to: String,
    group: String,
    processor: KafkaProcessor,
}

impl Bed {
    async fn new(options: Options, from: String, to: String, ids: usize) -> Self {
        let options = Options { publish_timeout: Duration::from_secs(20), ..options };
        let processor = KafkaProcessor::new(options.clone(), name("processor")).unwrap();
        let bed = Self { options, from, to, group: name("group"), processor };
        bed.publish(0..ids).await;
        bed
    }

    /// Over Tansu, or the cluster that is named.
    async fn over_a_broker(ids: usize) -> Self {
        let servers = factum_services::kafka::shared_url().unwrap();
        let [from, to] = ["from", "to"].map(name);
        for topic in [&from, &to, &format!("{from}.dead-letters")] {
            create(&servers, topic, 2).await;
        }
        Self::new(quick(Options::new(servers)), from, to, ids).await
    }

    async fn publish(&self, ids: std::ops::Range<usize>) {
        let publisher = KafkaPublisher::connect(self.options.clone()).await.unwrap();
        let outcomes = publisher.publish(&batch(&self.from, ids, 4)).await;
        outcomes.into_iter().for_each(|one| one.unwrap());
    }

    fn subscription(&self) -> Subscription {
        Subscription::shared(&self.group, [self.from.as_str()]).from_oldest().prefetch(8)
    }

    /// What most do here: the same message, to the other topic.
    fn on(&self, message: Message) -> Result<Vec<Outgoing>, HandlerError> {
        Ok(vec![Outgoing::new(&self.to, message)])
    }

    /// Until what is known of it is so.
    async fn run<F, Done>(
        &self,
        function: F,
        until: impl Fn(&Processing) -> bool,
    ) -> Result<Processing, ProcessError>
    where
        F: Fn(Message) -> Done,
        Done: Future<Output = Result<Vec<Outgoing>, HandlerError>>,
    {
        let mut status = self.processor.processing();
        let seen = self.processor.processing();
        let stop = async {
            let came = tokio::time::timeout(LIMIT, status.wait_for(|now| until(now))).await;
            assert!(came.is_ok(), "{:?}", seen.borrow());
        };
        self.processor.run(self.subscription(), function, stop).await?;
        let ended = seen.borrow().clone();
        assert_eq!(ended.state, ProcessorState::Ended);
        Ok(ended)
    }

    /// What is at the other topic, each key in order, and each once: Tansu shows what was aborted,
    /// and a machine that stands still for a session's time-out has something aborted.
    fn published(&self) -> Vec<usize> {
        let (all, mut seen) = (self.at_broker(), HashSet::new());
        all.into_iter().filter(|id| seen.insert(*id)).collect()
    }

    fn at_broker(&self) -> Vec<usize> {
        let all = all_of(&self.options.servers, &self.to);
        (0..4).flat_map(|key| ids_of(&all, &format!("key-{key}"))).collect()
    }

    /// How far the group is, over both partitions, by a client that is not ours.
    fn committed(&self) -> i64 {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.options.servers).set("group.id", &self.group);
        let client: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        (0..2).for_each(|partition| _ = list.add_partition(&self.from, partition));
        let found = client.committed_offsets(list, LIMIT).unwrap();
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        found.elements().iter().map(|one| offset(one.offset())).sum()
    }
}

fn in_order(ids: std::ops::Range<usize>) -> Vec<usize> {
    (0..4).flat_map(|key| ids.clone().filter(move |id| id % 4 == key)).collect()
}

/// Beside each other, as each waits for its group most of the time.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_broker() {
    tokio::join!(
        what_is_made_of_messages_and_their_offsets_are_committed_together(),
        what_is_aborted_moves_no_offset_and_is_processed_again(),
        what_is_left_in_the_middle_is_processed_again(),
        the_former_of_a_name_commits_nothing_more(),
    );
}

/// Each with a cluster of its own.
#[tokio::test(flavor = "multi_thread")]
async fn over_the_mock_cluster() {
    tokio::join!(
        who_is_fenced_ends_and_says_who_else_has_its_name(),
        a_commit_whose_answer_is_lost_is_asked_for_again(),
        offsets_of_a_former_generation_abort_what_is_with_them(),
        an_outage_in_the_middle_loses_nothing(),
        what_fails_is_tried_again_in_its_place_and_goes_to_dead_letters_in_the_end(),
        what_the_cluster_refuses_goes_to_dead_letters_after_its_attempts(),
        what_cannot_be_processed_is_said_at_the_start(),
    );
}

async fn what_is_made_of_messages_and_their_offsets_are_committed_together() {
    let bed = Bed::over_a_broker(40).await;
    let done = bed.run(async |one| bed.on(one), |now| now.processed == 40).await.unwrap();
    assert_eq!((done.published, done.dead), (40, 0));
    assert_eq!((bed.published(), bed.committed()), (in_order(0..40), 40));
    // Whoever is next of this name goes on behind it.
    bed.publish(40..44).await;
    let next = KafkaProcessor::new(bed.options.clone(), name("processor")).unwrap();
    let bed = Bed { processor: next, ..bed };
    let done = bed.run(async |one| bed.on(one), |now| now.processed >= 4).await.unwrap();
    assert_eq!((done.processed, bed.published(), bed.committed()), (4, in_order(0..44), 44));
}

/// The topic that it publishes to is not there: nothing moves. Then it is.
async fn what_is_aborted_moves_no_offset_and_is_processed_again() {
    let bed = Bed::over_a_broker(4).await;
    let late = name("late");
    let on = async |one| Ok(vec![Outgoing::new(&late, one)]);
    let done = bed.run(on, |now| now.aborted > 0).await.unwrap();
    assert_eq!((done.processed, bed.committed()), (0, 0));
    create(&bed.options.servers, &late, 2).await;
    let done = bed.run(on, |now| now.processed == 4).await.unwrap();
    assert_eq!((done.published, bed.committed()), (4, 4));
    assert!(all_of(&bed.options.servers, &late).len() >= 4);
}

/// Left in the middle of whatever it does, as if it were killed: what is not committed is processed
/// again, by the next of its name.
async fn what_is_left_in_the_middle_is_processed_again() {
    let bed = Bed::over_a_broker(24).await;
    let calls = AtomicUsize::new(0);
    let leave = tokio::sync::Notify::new();
    let on = async |one| {
        if calls.fetch_add(1, Ordering::Relaxed) == 12 {
            leave.notify_one();
            std::future::pending::<()>().await;
        }
        bed.on(one)
    };
    tokio::select! {
        ended = bed.processor.run(bed.subscription(), on, std::future::pending()) => {
            panic!("{ended:?}");
        }
        () = leave.notified() => {}
    }
    let (before, at) = (bed.processor.processing().borrow().processed, bed.committed());
    assert!(before as i64 == at && at <= 12, "{before} {at}");
    let done = bed.run(async |one| bed.on(one), |now| now.processed == 24).await.unwrap();
    assert_eq!((done.published, bed.committed()), (24, 24));
    assert_eq!(bed.published(), in_order(0..24));
}

/// Two under one name: the later takes over, and the former cannot commit what it has in hand.
async fn the_former_of_a_name_commits_nothing_more() {
    let bed = Bed::over_a_broker(4).await;
    let (held, go) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let on = async |one| {
        held.notify_one();
        go.notified().await;
        go.notify_one();
        bed.on(one)
    };
    let former = bed.processor.run(bed.subscription(), on, std::future::pending());
    let later = async {
        held.notified().await;
        let later = KafkaProcessor::new(bed.options.clone(), bed.processor.name()).unwrap();
        let mut status = later.processing();
        // It has the name, and waits for its share of the partitions.
        let stop = async {
            let running = status.wait_for(|now| now.state == ProcessorState::Running);
            tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
            go.notify_one();
            std::future::pending::<()>().await;
        };
        let ended = later.run(bed.subscription(), async |one| bed.on(one), stop).await;
        panic!("{ended:?}");
    };
    let ended = tokio::select! {
        ended = former => ended,
        () = later => unreachable!(),
        () = tokio::time::sleep(LIMIT) => panic!("it goes on"),
    };
    assert!(matches!(ended, Err(ProcessError::Fenced { .. })), "{ended:?}");
}

/// Over the mock cluster, with some topics of one partition and what is in the first.
async fn mocked(ids: usize) -> (crate::support::Mock, Bed) {
    let (mock, options, from) = mock(1);
    let to = name("to");
    mock.create_topic(&to, 1, 3).unwrap();
    mock.create_topic(&format!("{from}.dead-letters"), 1, 3).unwrap();
    // Nobody joins another here, so that a long session costs nothing, and none is lost.
    let options = options.set("session.timeout.ms", "20000").set("heartbeat.interval.ms", "200");
    (mock, Bed::new(options, from, to, ids).await)
}

async fn who_is_fenced_ends_and_says_who_else_has_its_name() {
    let steps = [Api::InitProducerId, Api::AddPartitionsToTxn, Api::Produce, Api::EndTxn];
    let all = steps.map(async |step| {
        let (mock, bed) = mocked(3).await;
        let fenced = match step {
            Api::Produce => Error::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            _ => Error::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        };
        mock.request_errors(step, &[fenced; 5]);
        let ended = bed.run(async |one| bed.on(one), |now| now.processed == 3).await;
        let Err(ProcessError::Fenced { name, .. }) = &ended else { panic!("{step:?} {ended:?}") };
        assert!(name.contains("processor"), "{name}");
    });
    futures_util::future::join_all(all).await;
}

async fn a_commit_whose_answer_is_lost_is_asked_for_again() {
    let (mock, bed) = mocked(3).await;
    mock.request_errors(Api::EndTxn, &[Error::RD_KAFKA_RESP_ERR__TRANSPORT; 2]);
    let done = bed.run(async |one| bed.on(one), |now| now.processed == 3).await.unwrap();
    assert_eq!((done.published, done.aborted), (3, 0));
    assert_eq!(bed.at_broker(), in_order(0..3));
}

/// A rebalance came between: the offsets are refused, and so is everything with them.
async fn offsets_of_a_former_generation_abort_what_is_with_them() {
    let (mock, bed) = mocked(3).await;
    mock.request_errors(Api::TxnOffsetCommit, &[Error::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION]);
    let calls = AtomicUsize::new(0);
    let on = async |one| {
        calls.fetch_add(1, Ordering::Relaxed);
        bed.on(one)
    };
    let done = bed.run(on, |now| now.processed == 3).await.unwrap();
    assert!(done.published == 3 && done.aborted >= 1, "{done:?}");
    assert!(calls.into_inner() > 3, "what was aborted was not processed again");
}

async fn an_outage_in_the_middle_loses_nothing() {
    let (mock, bed) = mocked(40).await;
    let (down, calls) = (tokio::sync::Notify::new(), AtomicUsize::new(0));
    let on = async |one| {
        if calls.fetch_add(1, Ordering::Relaxed) == 20 {
            mock.broker_down(-1).unwrap();
            down.notify_one();
        }
        bed.on(one)
    };
    let back = async {
        down.notified().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        mock.broker_up(-1).unwrap();
    };
    let (done, ()) = tokio::join!(bed.run(on, |now| now.processed >= 40), back);
    assert!(done.unwrap().published >= 40);
    let mut ids = bed.published();
    ids.sort_unstable();
    assert_eq!(ids, (0..40).collect::<Vec<_>>());
}

async fn what_fails_is_tried_again_in_its_place_and_goes_to_dead_letters_in_the_end() {
    let (_mock, bed) = mocked(4).await;
    let calls = std::sync::Mutex::new(Vec::new());
    let on = async |one: Message| {
        calls.lock().unwrap().push(one.id.clone());
        let tries = calls.lock().unwrap().iter().filter(|id| **id == one.id).count();
        match one.id.as_str() {
            "1" if tries < 3 => Err(HandlerError { retryable: true, why: "not yet".to_owned() }),
            "2" => Err(HandlerError::poison("never")),
            "3" => Ok(vec![Outgoing::new(&bed.to, one.data("text/plain", vec![b'x'; 1_000_000]))]),
            _ => bed.on(one),
        }
    };
    let done = bed.run(on, |now| now.processed == 4).await.unwrap();
    assert_eq!((done.published, done.dead), (2, 2));
    // None of them has the key of another, and none passes another.
    assert_eq!(calls.into_inner().unwrap(), ["0", "1", "1", "1", "2", "3"]);
    let all = all_of(&bed.options.servers, &bed.to);
    assert_eq!(all.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    let dead = format!("{}.dead-letters", bed.from);
    let letters = everything(&bed.options.servers, &dead, |one| DeadLetter::of(one).unwrap());
    let told = letters.iter().map(|one| (one.offset, one.message.attempts, &*one.message.why));
    let told = told.collect::<Vec<_>>();
    assert!(matches!(told[..], [(2, 1, "never"), (3, 1, _)]), "{told:?}");
    assert!(told[1].2.contains("bytes"), "{told:?}");
}

async fn what_the_cluster_refuses_goes_to_dead_letters_after_its_attempts() {
    let (_mock, bed) = mocked(2).await;
    let missing = name("missing");
    let on = async |one: Message| match one.id.as_str() {
        "0" => Ok(vec![Outgoing::new(&missing, one)]),
        _ => bed.on(one),
    };
    let mut status = bed.processor.processing();
    let stop = async {
        let done = status.wait_for(|now| now.processed == 2);
        tokio::time::timeout(LIMIT, done).await.unwrap().unwrap();
    };
    let subscription = bed.subscription().deliveries_max(3);
    bed.processor.run(subscription, on, stop).await.unwrap();
    let done = bed.processor.processing().borrow().clone();
    assert!((done.dead, done.published) == (1, 1) && done.aborted >= 3, "{done:?}");
}

async fn what_cannot_be_processed_is_said_at_the_start() {
    let (_mock, options, topic) = mock(1);
    let processor = KafkaProcessor::new(options, name("processor")).unwrap();
    let run = async |subscription| {
        let on = async |_| panic!("nothing is here");
        match processor.run(subscription, on, std::future::pending()).await {
            Err(ProcessError::Refused { why }) => why,
            other => panic!("{other:?}"),
        }
    };
    let why = run(Subscription::broadcast([topic.as_str()])).await;
    assert!(why.contains("Subscription::shared"), "{why}");
    let why = run(Subscription::shared("g", [topic.as_str()])).await;
    assert!(why.contains(".dead-letters") && why.contains("Options::create"), "{why}");
    assert!(KafkaProcessor::new(Options::new("a:1"), "").is_err());
}
