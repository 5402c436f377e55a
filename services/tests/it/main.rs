//! Each server is started, killed with -9, started again, and found with what it had.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod abandoned;
mod kafka;
mod nats;
mod postgres;
mod rabbitmq;
