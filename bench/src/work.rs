//! The loads: each the same for every event store.
//!
//! | module | what |
//! |---|---|
//! | `append` | one client after the other's answer; many in flight on one call; filling |
//! | `read` | one stream; everything |
//! | `aggregate` | read 20, append 1 |
//! | `subscribe` | from the acknowledgement to a live subscriber |
//! | `open` | from the start of a server to its first answers; bytes on the disk |

mod aggregate;
mod append;
mod open;
mod read;
mod subscribe;

pub(crate) use aggregate::aggregate;
pub(crate) use append::{Fill, Loop, append, fill, pipeline};
pub(crate) use open::{Place, disk, open};
pub(crate) use read::{all, stream};
pub(crate) use subscribe::subscribe;

use crate::peer::{Client, Home, Peer};
use anyhow::{Result, anyhow};
use std::{future::Future, time::Duration};

/// Before anything is measured.
pub(crate) const WARM_UP: Duration = Duration::from_millis(300);

/// How long, and how large.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// That is measured.
    pub(crate) time: Duration,
    /// Bytes of an event's data.
    pub(crate) size: usize,
}

/// Runs `count` clients at once, where clients of this store live, each with a job of its own, that
/// begins when all are connected.
async fn each<T, F>(
    peer: &dyn Peer,
    count: usize,
    job: impl Fn(usize, Box<dyn Client>) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(peer.client().await?);
    }
    let jobs = clients.into_iter().enumerate().map(|(number, client)| job(number, client));
    let jobs: Vec<_> = jobs.collect();
    match peer.home() {
        Home::Tasks => {
            let tasks: Vec<_> = jobs.into_iter().map(tokio::spawn).collect();
            let mut done = Vec::new();
            for task in tasks {
                done.push(task.await??);
            }
            Ok(done)
        }
        Home::Threads => {
            let spawn = |job| std::thread::spawn(move || futures::executor::block_on(job));
            let threads: Vec<_> = jobs.into_iter().map(spawn).collect();
            let join = || {
                threads.into_iter().map(|thread| {
                    thread.join().map_err(|_| anyhow!("the thread of a client panicked"))?
                })
            };
            tokio::task::block_in_place(|| join().collect())
        }
    }
}

/// Runs one client.
async fn one<T, F>(peer: &dyn Peer, job: impl Fn(Box<dyn Client>) -> F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let done = each(peer, 1, |_, client| job(client)).await?;
    done.into_iter().next().ok_or_else(|| anyhow!("no client ran"))
}
