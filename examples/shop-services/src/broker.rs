//! The broker, by its URL alone: nothing else in here knows which it is.

use factum::app::{
    message::{Consumer, Publisher},
    prelude::*,
};
use factum_kafka::{KafkaConsumer, KafkaPublisher, NewTopics, Options};
use factum_nats::{Nats, Stream};
use factum_rabbitmq::RabbitMq;
use std::sync::Arc;

/// Where services speak; one topic each.
pub(crate) const TOPICS: [&str; 5] =
    ["shop.orders", "shop.asks", "shop.stock", "shop.payments", "shop.parcels"];

/// Both directions of a broker.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) consumer: Arc<dyn Consumer>,
}

impl Broker {
    fn new<B: Publisher + Consumer>(broker: B) -> Self {
        let broker = Arc::new(broker);
        Self { publisher: broker.clone(), consumer: broker }
    }

    async fn kafka(servers: &str) -> Result<Self> {
        let create = Some(NewTopics { partitions: 4, replication: 1 });
        let options = Options { create, ..Options::new(servers) };
        let consumer = Arc::new(KafkaConsumer::new(options.clone())?);
        Ok(Self { publisher: Arc::new(KafkaPublisher::connect(options).await?), consumer })
    }

    /// The one at this URL.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let scheme = url.split("://").next().unwrap_or_default();
        Ok(match scheme {
            "nats" => {
                let stream = Stream::new("shop", TOPICS);
                let settings = factum_nats::Settings::new(url).stream(stream).create();
                Self::new(Nats::connect(settings).await?)
            }
            "amqp" => Self::new(RabbitMq::connect(factum_rabbitmq::Settings::new(url)).await?),
            "kafka" => Self::kafka(url.trim_start_matches("kafka://")).await?,
            _ => return Err(format!("{url}: a broker is at amqp://, nats:// or kafka://").into()),
        })
    }
}
