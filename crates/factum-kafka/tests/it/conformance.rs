//! The suite that every broker passes, over the mock cluster, which can be taken away, and over
//! Tansu or the cluster that `FACTUM_KAFKA_URL` names.

use crate::support::{MockThread, create, everything, quick};
use factum_app::message::{Consumer, DeadMessage, Publisher};
use factum_kafka::{
    DeadLetter, KafkaConsumer, KafkaPublisher, Options,
    rdkafka::{
        ClientConfig,
        message::{Header, OwnedHeaders},
        producer::{FutureProducer, FutureRecord},
        util::Timeout,
    },
};
use factum_testkit::{
    Boxed, Verdict,
    brokers::{Ability, BrokerSettings, BrokerUnderTest, CASES, Case, Made, Raw, suite, try_case},
};
use futures_util::{StreamExt, stream};
use std::{sync::Arc, time::Duration};

const PARTITIONS: u16 = 4;
const SETTINGS: BrokerSettings = BrokerSettings {
    case_time_max: Duration::from_secs(60),
    patience: Duration::from_secs(30),
    quiet: Duration::from_millis(400),
    beside: 24,
};

struct Over {
    name: &'static str,
    options: Options,
    /// The mock cluster, where it is one.
    mock: Option<MockThread>,
}

impl BrokerUnderTest for Over {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Deliveries are counted by the instance that has a partition, so not over connections.
    fn can(&self, ability: Ability) -> bool {
        match ability {
            Ability::Attempts => false,
            Ability::Outage => self.mock.is_some(),
            _ => true,
        }
    }

    fn settings(&self) -> BrokerSettings {
        SETTINGS
    }

    fn prepare<'a>(&'a self, topics: &'a [String]) -> Boxed<'a, Made<()>> {
        Box::pin(async {
            let dead = topics.iter().map(|topic| format!("{topic}.dead-letters"));
            for topic in topics.iter().cloned().chain(dead) {
                match &self.mock {
                    Some(mock) => mock.create(&topic, PARTITIONS),
                    None => create(&self.options.servers, &topic, PARTITIONS).await,
                }
            }
            Ok(())
        })
    }

    fn publisher(&self) -> Boxed<'_, Made<Arc<dyn Publisher>>> {
        Box::pin(async {
            let publisher = KafkaPublisher::connect(self.options.clone()).await?;
            Ok(Arc::new(publisher) as Arc<dyn Publisher>)
        })
    }

    fn consumer(&self) -> Boxed<'_, Made<Arc<dyn Consumer>>> {
        Box::pin(async {
            let consumer = KafkaConsumer::new(self.options.clone())?;
            Ok(Arc::new(consumer) as Arc<dyn Consumer>)
        })
    }

    fn publish_raw(&self, raw: Raw) -> Boxed<'_, Made<()>> {
        Box::pin(async move {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &self.options.servers);
            let producer: FutureProducer = config.create()?;
            let names = raw.attributes.iter().map(|(name, value)| (format!("ce_{name}"), value));
            let content_type = raw.content_type.iter().map(|text| ("content-type".into(), text));
            let headers =
                names.chain(content_type).fold(OwnedHeaders::new(), |all, (key, value)| {
                    all.insert(Header { key: &key, value: Some(value) })
                });
            let record = FutureRecord::<(), _>::to(&raw.topic).payload(&raw.data[..]);
            let sent = producer.send(record.headers(headers), Timeout::Never).await;
            Ok(sent.map(drop).map_err(|(error, _)| error)?)
        })
    }

    fn dead_letters<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> Boxed<'a, Made<Vec<DeadMessage>>> {
        Box::pin(async move {
            let (servers, topic) = (self.options.servers.clone(), format!("{topic}.dead-letters"));
            let read = move || everything(&servers, &topic, |one| DeadLetter::of(one).unwrap());
            let letters = tokio::task::spawn_blocking(read).await?;
            let ours = letters.into_iter().filter(|letter| letter.group == group);
            Ok(ours.map(|letter| letter.message).collect())
        })
    }

    fn go_away(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async {
            self.mock.as_ref().ok_or("no mock")?.down();
            Ok(())
        })
    }

    fn come_back(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async {
            self.mock.as_ref().ok_or("no mock")?.up();
            Ok(())
        })
    }
}

fn options(servers: String) -> Options {
    Options {
        publish_timeout: Duration::from_secs(12),
        settle_timeout: Duration::from_secs(8),
        revoke_wait: Duration::from_millis(500),
        ..Options::new(servers)
    }
}

/// What Tansu 0.6 does otherwise than Kafka: its newest offset is that of a batch's first message;
/// and where somebody leaves a group while joining it, nobody else may join for a long time.
const TANSU_CANNOT: &[&str] = &[
    "groups::a_new_group_begins_with_what_is_new",
    "groups::a_broadcast_does_not_wait_for_who_is_gone",
    "close::nothing_comes_twice_over_a_clean_restart",
    "publish::what_is_confirmed_waits_while_the_group_is_gone",
    "groups::an_instance_that_leaves_costs_nothing",
    "order::of_a_key_after_its_instance_has_left",
];

/// Each case that takes the broker away has a cluster of its own: so all run beside each other.
#[tokio::test(flavor = "multi_thread")]
async fn over_the_mock_cluster() {
    // One broker: librdkafka says that all are lost when it has lost all that it was connected to.
    let over = |mock: MockThread| Over {
        name: "kafka (mock cluster)",
        options: quick(options(mock.servers())),
        mock: Some(mock),
    };
    let shared = over(MockThread::start(1));
    let run = |case: &'static Case| {
        let (shared, alone) = (&shared, case.needs.contains(&Ability::Outage));
        async move {
            match alone {
                true => try_case(case, &over(MockThread::start(1)), SETTINGS).await,
                false => try_case(case, shared, SETTINGS).await,
            }
        }
    };
    all(CASES.iter().map(|case| (case.name, run(case))), 48).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_broker() {
    let url = factum_services::kafka::shared_url().unwrap();
    let over = Over { name: "kafka", options: quick(options(url)), mock: None };
    if std::env::var_os("FACTUM_KAFKA_URL").is_some() {
        return suite(&over).await;
    }
    let can = |case: &&Case| !TANSU_CANNOT.iter().any(|name| case.name.starts_with(name));
    let cases = CASES.iter().filter(can);
    all(cases.map(|case| (case.name, try_case(case, &over, SETTINGS))), 24).await;
}

/// Runs so many at a time; those whose name holds `CASE`, where it is set.
async fn all<F: Future<Output = Verdict>>(
    cases: impl Iterator<Item = (&'static str, F)>,
    beside: usize,
) {
    let only = std::env::var("CASE").unwrap_or_default();
    let chosen = cases.filter(|(name, _)| name.contains(&only));
    let run = |(name, run)| async move { (name, run.await) };
    let verdicts = stream::iter(chosen.map(run)).buffer_unordered(beside).collect::<Vec<_>>().await;
    let failed = verdicts.into_iter().filter_map(|(name, verdict)| match verdict {
        Verdict::Failed { how } => Some(format!("{name}: {how}")),
        _ => None,
    });
    let failed = failed.collect::<Vec<_>>();
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}
