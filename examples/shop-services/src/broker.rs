//! The broker, by its URL alone: nothing else in here knows which it is.

use factum::app::{
    message::{Consumer, Publisher},
    prelude::*,
};
use factum_nats::{Nats, Settings, Stream};
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

    /// The one at this URL.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let scheme = url.split("://").next().unwrap_or_default();
        Ok(match scheme {
            "nats" => {
                let stream = Stream::new("shop", TOPICS);
                Self::new(Nats::connect(Settings::new(url).stream(stream).create()).await?)
            }
            _ => return Err(format!("{url}: a broker is at amqp://, nats:// or kafka://").into()),
        })
    }
}
