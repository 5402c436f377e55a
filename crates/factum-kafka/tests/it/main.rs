//! Against librdkafka's mock cluster, which can be made to fail, and against Tansu, a broker of its
//! own that speaks Kafka's protocol; or against the cluster at `FACTUM_KAFKA_URL=host:port`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod conformance;
mod consuming;
mod creating;
mod processing;
mod publishing;
mod support;
