//! The server, proved with clients written elsewhere, as published, against the real binary.
//!
//! | module | what |
//! |---|---|
//! | `server` | the binary: started, killed and started again, each time over a folder of its own |
//! | `kurrent` | the crate `kurrentdb` |
//! | `umadb` | the crate `umadb-client` |
//! | `mixed` | what one protocol wrote, seen by the other |
//! | `python` | the packages `kurrentdbclient` and `umadb`, by the scripts in `python/` |
//!
//! The binary is the one that `FACTUM_BIN` names. Without it every test says that it was skipped:
//! `cargo xtask test interop` builds it and sets the variable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod kurrent;
mod mixed;
mod python;
mod server;
mod skip;
mod umadb;

use std::{future::Future, time::Duration};

/// What a test ends in: any error of a client fails it.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Longer than anything here takes, also on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that a broken server might never give.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("{what}: nothing came within {PATIENCE:?}");
    };
    value
}
