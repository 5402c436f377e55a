//! The suite that every broker passes: in binary mode over several queues a group, and in
//! structured mode without an error for what nobody takes.
//!
//! The broker is away here as it is behind a network that is cut; that it is killed is shown apart,
//! as it takes half a minute to come back.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use factum_app::message::{Consumer, DeadMessage, Publisher};
use factum_rabbitmq::{Mode, RabbitMq, Settings, State};
use factum_services::rabbitmq::RabbitMq as Broker;
use factum_testkit::{
    Boxed,
    brokers::{Ability, BrokerSettings, BrokerUnderTest, CASES, Case, Made, Raw, report},
};
use futures_util::{StreamExt, stream};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{
    proxy::Proxy,
    support::{LIMIT, fresh},
};

struct Over {
    proxy: Proxy,
    exchange: String,
    mode: Mode,
    must_route: bool,
    /// To see whether they have noticed that the broker is away.
    clients: Mutex<Vec<Weak<RabbitMq>>>,
}

impl Over {
    async fn new(mode: Mode, must_route: bool) -> Self {
        let port = Broker::shared().unwrap().port();
        let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
        let over =
            Self { proxy, exchange: fresh("suite"), mode, must_route, clients: Mutex::default() };
        // It is there before the first message of somebody who does not use the traits.
        over.rabbit().await.unwrap();
        over
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.proxy.address)
    }

    async fn rabbit(&self) -> Made<Arc<RabbitMq>> {
        let settings = Settings::new(self.url()).exchange(&self.exchange).mode(self.mode);
        let settings = settings.publish_within(LIMIT / 3);
        let settings = if self.must_route { settings.must_route() } else { settings };
        let rabbit = Arc::new(RabbitMq::connect(settings).await?);
        self.clients.lock().unwrap().push(Arc::downgrade(&rabbit));
        Ok(rabbit)
    }

    fn is_noticed(&self) -> bool {
        let clients = self.clients.lock().unwrap();
        let is_up = |state| matches!(state, State::Connected | State::Blocked);
        clients
            .iter()
            .filter_map(Weak::upgrade)
            .all(|client| !is_up(client.publishing()) && !is_up(client.consuming()))
    }
}

impl BrokerUnderTest for Over {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn can(&self, ability: Ability) -> bool {
        match ability {
            // A queue keeps nothing that was consumed, and nothing from before it was there.
            Ability::Oldest => false,
            Ability::Unroutable => self.must_route,
            _ => true,
        }
    }

    fn settings(&self) -> BrokerSettings {
        BrokerSettings { case_time_max: LIMIT * 2, patience: LIMIT, ..BrokerSettings::default() }
    }

    fn prepare<'a>(&'a self, _: &'a [String]) -> Boxed<'a, Made<()>> {
        Box::pin(async { Ok(()) })
    }

    fn publisher(&self) -> Boxed<'_, Made<Arc<dyn Publisher>>> {
        Box::pin(async { Ok(self.rabbit().await? as Arc<dyn Publisher>) })
    }

    fn consumer(&self) -> Boxed<'_, Made<Arc<dyn Consumer>>> {
        Box::pin(async { Ok(self.rabbit().await? as Arc<dyn Consumer>) })
    }

    fn publish_raw(&self, raw: Raw) -> Boxed<'_, Made<()>> {
        Box::pin(async move {
            let url = self.url();
            let connection = Connection::connect(&url, ConnectionProperties::default());
            let channel = connection.await?.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let mut headers = FieldTable::default();
            for (name, value) in &raw.attributes {
                let name = format!("cloudEvents:{name}");
                headers.insert(name.into(), AMQPValue::LongString(value.as_str().into()));
            }
            let mut properties = BasicProperties::default().with_headers(headers);
            if let Some(kind) = &raw.content_type {
                properties = properties.with_content_type(kind.as_str().into());
            }
            let (exchange, topic) = (self.exchange.as_str().into(), raw.topic.as_str().into());
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish(exchange, topic, options, &raw.data, properties);
            sent.await?.await?;
            Ok(())
        })
    }

    fn dead_letters<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> Boxed<'a, Made<Vec<DeadMessage>>> {
        Box::pin(async move {
            let letters = self.rabbit().await?.dead_letters(group, 100).await?;
            let letters = letters.into_iter().filter(|letter| letter.topic == topic);
            let letter = |letter: factum_rabbitmq::DeadLetter| DeadMessage {
                topic: letter.topic,
                message: letter.message,
                why: letter.why,
                attempts: letter.attempts,
            };
            Ok(letters.map(letter).collect())
        })
    }

    fn go_away(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async {
            self.proxy.cut();
            let noticed = async {
                while !self.is_noticed() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(LIMIT, noticed).await?;
            Ok(())
        })
    }

    fn come_back(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async {
            self.proxy.mend();
            Ok(())
        })
    }
}

/// So many cases run at a time.
const BESIDE: usize = 16;

/// Runs these cases; one that takes the broker away has a network of its own.
async fn run(cases: impl Iterator<Item = &'static Case>, mode: Mode, must_route: bool) {
    let only = std::env::var("CASE").unwrap_or_default();
    let shared = Over::new(mode, must_route).await;
    let case = |case: &'static Case| {
        let shared = &shared;
        async move {
            let alone = case.needs.contains(&Ability::Outage);
            let own = if alone { Some(Over::new(mode, must_route).await) } else { None };
            report(case, own.as_ref().unwrap_or(shared), shared.settings()).await
        }
    };
    let chosen = cases.filter(|case| case.name.contains(&only));
    let failed =
        stream::iter(chosen.map(case)).buffer_unordered(BESIDE).filter_map(std::future::ready);
    let failed = failed.collect::<Vec<_>>().await;
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_binary_mode_where_somebody_must_take_it() {
    run(CASES.iter(), Mode::Binary, true).await;
}

/// Where how a message is written counts, and whether somebody takes it.
#[tokio::test(flavor = "multi_thread")]
async fn in_structured_mode() {
    let areas = ["publish::", "dead::", "content::", "foreign::"];
    let counts = move |case: &&Case| areas.iter().any(|area| case.name.starts_with(area));
    run(CASES.iter().filter(counts), Mode::Structured, false).await;
}
