//! RabbitMQ itself: started by the tests, killed, stopped by alarms, and started again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod conformance;
mod consuming;
mod crashes;
mod proxy;
mod publishing;
mod refusals;
mod support;
