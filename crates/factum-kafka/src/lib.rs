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
//! | `consumer` | [`KafkaConsumer`]: what is asked before a subscription begins |
//! | `deliveries` | [`KafkaDeliveries`]: messages as they come, and leaving |
//! | `reader` | the thread that reads, and what librdkafka calls back |
//! | `shelf` | what was taken and not settled, shared by all of these |
//! | `window` | the same of one partition: what may be handed out, what may be committed |
//! | `settlement` | how one message is settled |
//! | `dead` | dead letters |
//! | `processor` | [`KafkaProcessor`]: consume, process, produce |
//! | `session` | one life of it: batch after batch |
//! | `transaction` | records and offsets, all or none |
//! | `error` | what librdkafka reports, in the words of the traits |
//!
//! What a real cluster does that the tests here cannot show is in `docs/kafka.md`.

mod binding;
mod client;
mod consumer;
mod dead;
mod deliveries;
mod error;
mod line;
mod options;
mod processor;
mod publisher;
mod reader;
mod session;
mod settlement;
mod shelf;
mod topics;
mod transaction;
mod window;

pub use consumer::KafkaConsumer;
pub use dead::DeadLetter;
pub use deliveries::KafkaDeliveries;
pub use error::ConnectError;
pub use options::{Mode, NewTopics, Options};
pub use processor::{KafkaProcessor, ProcessError, Processing, ProcessorState};
pub use publisher::KafkaPublisher;

/// Re-exported, because its mock cluster and its admin client are what tests and tools need beside.
pub use rdkafka;
