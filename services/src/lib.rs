//! Real servers for tests: the foreign systems themselves, never a mock of them.
//!
//! Each is started on free ports of loopback, in a folder of its own below the temporary folder,
//! and ended when its value is dropped, or when the test's process ends, however it ends. A program
//! that is not on the machine is installed on first use (with `apt-get`, or from PyPI into the
//! cache folder), and where it cannot be, the error names the command that would.
//!
//! ```no_run
//! use factum_services::postgres::Postgres;
//!
//! let mut postgres = Postgres::start()?;
//! println!("{}", postgres.url());
//! postgres.kill9()?; // as a crash would
//! postgres.restart()?; // the same data, at the same address
//! # Ok::<(), factum_services::Error>(())
//! ```
//!
//! Many tests share one server (`shared()`: one a process, started by whoever asks first) and take
//! a fresh name of a schema, an exchange or a stream each. Where a variable says so
//! (`FACTUM_POSTGRES_URL`, `FACTUM_RABBITMQ_URL`, `FACTUM_NATS_URL`, `FACTUM_KAFKA_URL`),
//! `shared_url()` is that of a server somewhere else, and nothing is started.
//!
//! Unix only: servers are ended by signals to their process groups.

#![cfg(unix)]

pub mod debezium;
mod error;
mod install;
pub mod kafka;
pub mod nats;
mod port;
pub mod postgres;
pub mod rabbitmq;
mod room;
mod wait;

pub use error::Error;
