//! The writer's thread: what waits becomes a group, a group one transaction, and every answer is
//! given after its commit.
//!
//! What must hold: nothing is acknowledged, nor refused because of something, that is not durable.
//! A group that fails is rolled back as a whole; where its commit fails, nobody knows. After a
//! failure of the disk nothing more is written until the file is opened again.

use super::{Job, Message, Opened, Refused, Reply, Work, queue::Queue};
use crate::{
    OpenError, Options,
    error::{Class, stops, unwritten, why_stopped},
    heads,
    pool::{self, Place, Pool, Role},
    schema,
    shared::{Counters, Shared},
    write::{Group, Known},
};
use factum_core::{AppendError, completion::Filler};
use sqlx::{Connection, Sqlite, Transaction};
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
    time::timeout,
};

/// The writer, in its own thread.
pub(super) struct Writer {
    runtime: Runtime,
    shared: Arc<Shared>,
    /// Of one connection.
    connections: Arc<Pool>,
    queue: mpsc::Receiver<Message>,
    head: watch::Sender<u64>,
    known: Known,
}

/// Why a group was not done.
enum Failed {
    /// Nothing of it was written.
    Unwritten(sqlx::Error),
    /// Its commit failed.
    Unknown(sqlx::Error),
}

impl Failed {
    /// Before the commit; where somebody else's statements may have ended the transaction, nobody
    /// knows.
    fn of(error: sqlx::Error, is_shared: bool) -> Self {
        if is_shared { Self::Unknown(error) } else { Self::Unwritten(error) }
    }
}

impl Writer {
    /// Opens the store on this thread.
    pub(super) fn open(place: Place, options: Arc<Options>) -> Result<(Self, Opened), OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let opening = open(&place, &options);
        let (connection, id, head) = runtime.block_on(opening).map_err(|error| match &place {
            Place::File(path) => OpenError::of(path, options.busy_timeout_ms, error),
            Place::Memory => error,
        })?;
        let pool = |role| Pool::new(place.clone(), role, options.clone());
        let connections = Arc::new(pool(Role::Write).with(connection));
        let readers = match &place {
            Place::Memory => connections.clone(),
            Place::File(_) => Arc::new(pool(Role::Read)),
        };
        let (queue, messages) = Queue::new(&options);
        let (head, seen) = watch::channel(head);
        let shared = Arc::new(Shared::new(options.clone(), readers, seen));
        let known = Known::new(options.names_max);
        let opened = Opened { shared: shared.clone(), queue, id };
        Ok((Self { runtime, shared, connections, queue: messages, head, known }, opened))
    }

    /// Works until nobody can ask any more.
    pub(super) fn work(mut self) {
        while let Some(jobs) = self.next() {
            if jobs.is_empty() {
                self.look();
            } else {
                self.group(jobs);
            }
        }
        let closing = async {
            self.shared.readers.close().await;
            self.connections.close().await;
        };
        self.runtime.block_on(closing);
    }

    /// The next group, grown by itself while the one before was written; empty where it is time to
    /// look for what others have written. `None` when nobody can ask any more.
    fn next(&mut self) -> Option<Vec<Job>> {
        let mut messages = Vec::new();
        let options = &self.shared.options;
        let coming = self.queue.recv_many(&mut messages, options.group_jobs_max);
        let count = if self.shared.is_followed() {
            let pause = Duration::from_millis(options.poll_interval_ms);
            self.runtime.block_on(async { timeout(pause, coming).await })
        } else {
            Ok(self.runtime.block_on(coming))
        };
        if count == Ok(0) {
            return None;
        }
        let jobs = messages.into_iter().filter_map(|message| match message {
            Message::Job(job) => Some(*job),
            Message::Watch => None,
        });
        Some(jobs.collect())
    }

    /// Looks for what another process has written. One that fails is one that finds nothing: who
    /// waits goes on to wait, and who reads is told.
    fn look(&self) {
        let looking = async {
            let mut lease = self.connections.lease_to_write().await?;
            heads::head(&mut lease).await
        };
        if let Ok(head) = self.runtime.block_on(looking) {
            self.publish(head);
        }
    }

    fn publish(&self, head: u64) {
        self.head.send_if_modified(|known| {
            let is_more = head > *known;
            *known = head.max(*known);
            is_more
        });
    }

    /// Does a group, and answers.
    fn group(&mut self, jobs: Vec<Job>) {
        let mut fillers = Vec::with_capacity(jobs.len());
        let mut works = Vec::with_capacity(jobs.len());
        for Job { work, hook, filler, weight } in jobs {
            // It waits no longer.
            drop(weight);
            fillers.push(filler);
            works.push((work, hook));
        }
        if let Some(why) = self.shared.stopped.get() {
            return refuse(fillers, || AppendError::ReadOnly { why: why.clone() });
        }
        match self.write(works) {
            Ok(replies) => {
                for (filler, reply) in fillers.into_iter().zip(replies) {
                    filler.fill(reply);
                }
            }
            Err(failed) => {
                self.known.forget();
                let (error, answer) = match &failed {
                    Failed::Unwritten(error) => (error, unwritten(error)),
                    Failed::Unknown(error) => {
                        let why = format!("the commit failed: {error}").into();
                        (error, AppendError::Unknown { why })
                    }
                };
                if stops(Class::of(error)) {
                    // The first reason stays.
                    let _ = self.shared.stopped.set(why_stopped(error));
                }
                refuse(fillers, || answer.clone());
            }
        }
    }

    fn write(
        &mut self,
        works: Vec<(Work, Option<crate::inline::Hook>)>,
    ) -> Result<Vec<Reply>, Failed> {
        let lease = self.runtime.block_on(self.connections.lease_to_write());
        let mut lease = lease.map_err(Failed::Unwritten)?;
        let written = match self.runtime.block_on(lease.begin_with("BEGIN IMMEDIATE")) {
            Ok(transaction) => self.in_transaction(transaction, works),
            Err(error) => Err(Failed::Unwritten(error)),
        };
        if written.is_err() {
            lease.spoil();
        }
        written
    }

    fn in_transaction(
        &mut self,
        mut transaction: Transaction<'_, Sqlite>,
        works: Vec<(Work, Option<crate::inline::Hook>)>,
    ) -> Result<Vec<Reply>, Failed> {
        let (runtime, shared) = (&self.runtime, &*self.shared);
        let group = Group::begin(&mut transaction, (runtime, shared), &mut self.known);
        let mut group = group.map_err(Failed::Unwritten)?;
        let mut replies = Vec::with_capacity(works.len());
        for (work, hook) in works {
            let reply = group.take(work, hook);
            replies.push(reply.map_err(|error| Failed::of(error, group.is_shared))?);
        }
        let is_shared = group.is_shared;
        let (head, events) = group.finish().map_err(|error| Failed::of(error, is_shared))?;
        self.runtime.block_on(transaction.commit()).map_err(Failed::Unknown)?;
        self.publish(head);
        let counters = &self.shared.counters;
        let done = replies.iter().filter(|reply| reply.is_ok()).count() as u64;
        Counters::add(&counters.appends, done);
        Counters::add(&counters.refused, replies.len() as u64 - done);
        Counters::add(&counters.events, events);
        Counters::add(&counters.groups, 1);
        Ok(replies)
    }
}

async fn open(
    place: &Place,
    options: &Options,
) -> Result<(sqlx::SqliteConnection, factum_core::Uuid, u64), OpenError> {
    let mut connection = pool::connect(place, Role::Create, options).await?;
    if matches!(place, Place::File(_)) {
        pool::write_ahead(&mut connection, options).await?;
    }
    schema::prepare(&mut connection).await?;
    let id = schema::store_id(&mut connection).await?;
    let head = heads::head(&mut connection).await?;
    Ok((connection, id, head))
}

fn refuse(fillers: Vec<Filler<Reply>>, error: impl Fn() -> AppendError) {
    for filler in fillers {
        filler.fill(Err(Refused::Append(error())));
    }
}
