//! Against librdkafka's mock cluster, which can be made to fail, and against Tansu, a broker of its
//! own that speaks Kafka's protocol; or all against the cluster at `FACTUM_KAFKA=host:port`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod publishing;
mod support;
