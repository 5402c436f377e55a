//! Kafka as a broker: messages as CloudEvents, published with confirmation, consumed in groups, and
//! both in one transaction. On `rdkafka`, so on librdkafka, which is built from its source.
//!
//! | module | what |
//! |---|---|
//! | `options` | settings, and what librdkafka is told |
//! | `binding` | a message as a record: the binary and the structured mode of CloudEvents |
//! | `client` | what librdkafka says beside its answers |
//! | `topics` | whether a topic is there; made if that is asked for |
//! | `line` | one producer, and the confirmations that it owes |
//! | `publisher` | [`KafkaPublisher`] |
//! | `error` | what librdkafka reports, in the words of the traits |
//!
//! What a real cluster does that the tests here cannot show is in `docs/kafka.md`.

#[allow(dead_code, reason = "a consumer reads, and comes next")]
mod binding;
mod client;
mod error;
mod line;
mod options;
mod publisher;
mod topics;

pub use error::ConnectError;
pub use options::{Mode, NewTopics, Options};
pub use publisher::KafkaPublisher;

/// Re-exported, because its mock cluster and its admin client are what tests and tools need beside.
pub use rdkafka;
