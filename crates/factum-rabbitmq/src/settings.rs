//! What a connection to RabbitMQ is told, and the limits that hold for it.

use std::time::Duration;

/// How a message is put into one of RabbitMQ's
/// ([CloudEvents' binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// The payload as it is, the attributes as headers.
    #[default]
    Binary,
    /// All of it as one JSON document.
    Structured,
}

/// How the instances of a group share its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// In order for each key: the group has so many queues (1 to 16), a key has one of them, and
    /// one instance at a time consumes a queue. More instances than queues stand by.
    Ordered {
        /// How many queues.
        queues: u8,
    },
    /// One queue, and whoever is free takes the next message: no order, any number of instances.
    Unordered,
}

/// What a connection is told.
///
/// ```
/// use factum_rabbitmq::Settings;
/// let settings = Settings::new("amqps://user:secret@rabbit.example/%2f").exchange("shop");
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings are for `RabbitMq::connect`"]
pub struct Settings {
    pub(crate) url: String,
    pub(crate) exchange: String,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) sharing: Sharing,
    pub(crate) max_bytes: u64,
    pub(crate) must_route: bool,
    pub(crate) connect_within: Duration,
    pub(crate) publish_within: Duration,
}

impl Settings {
    /// For the broker at this URL (`amqp://user:password@host:5672/%2f`, `amqps://…` over TLS): the
    /// exchange `factum`, binary mode, four queues a group, messages of at most 16 MiB (what
    /// RabbitMQ 4 takes unless told otherwise), 30 seconds for a connection and for a confirmation.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            exchange: "factum".to_owned(),
            name: "factum".to_owned(),
            mode: Mode::Binary,
            sharing: Sharing::Ordered { queues: 4 },
            max_bytes: 16 << 20,
            must_route: false,
            connect_within: Duration::from_secs(30),
            publish_within: Duration::from_secs(30),
        }
    }

    /// The topic exchange that messages go to.
    pub fn exchange(self, exchange: impl Into<String>) -> Self {
        Self { exchange: exchange.into(), ..self }
    }

    /// What the broker shows as this connection's name.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// How messages are written; both are read.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// How groups share; the same in all instances of a group. A group that is there with another
    /// number of queues is refused: stop who publishes, then its instances when its queues are
    /// empty, and delete the exchange and the queues of its name.
    pub fn sharing(self, sharing: Sharing) -> Self {
        Self { sharing, ..self }
    }

    /// The largest message that is sent, attributes included; no more than the broker's own
    /// `max_message_size`.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// A message that no queue takes is an error
    /// ([`Unroutable`](factum_app::message::PublishError::Unroutable)). Otherwise it is confirmed
    /// and gone: an event is published whether or not somebody has subscribed to it yet.
    pub fn must_route(self) -> Self {
        Self { must_route: true, ..self }
    }

    /// How long a call waits for a connection.
    pub fn connect_within(self, connect_within: Duration) -> Self {
        Self { connect_within, ..self }
    }

    /// How long a message waits for its confirmation, also while an alarm stops publishers; those
    /// behind it with its key are not sent afterwards.
    pub fn publish_within(self, publish_within: Duration) -> Self {
        Self { publish_within, ..self }
    }
}
