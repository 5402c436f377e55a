//! fjall as an event store, in this process: each commit is followed by a sync of the journal,
//! outside of the lock, so that concurrent writers share it as far as fjall lets them.

use super::{Client, Home, Peer, Subject, Tally, tables::key};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::{
    hint::black_box,
    sync::{Arc, Mutex, PoisonError},
};

struct Tables {
    database: Database,
    all: Keyspace,
    streams: Keyspace,
    next: Mutex<u64>,
}

pub(super) struct Embedded(Arc<Tables>);

impl Embedded {
    pub(super) fn open(folder: &str) -> Result<Self> {
        let database = Database::builder(folder).open()?;
        let all = database.keyspace("all", KeyspaceCreateOptions::default)?;
        let streams = database.keyspace("streams", KeyspaceCreateOptions::default)?;
        let next = match all.last_key_value() {
            Some(last) => number(&last.key()?)? + 1,
            None => 0,
        };
        Ok(Self(Arc::new(Tables { database, all, streams, next: Mutex::new(next) })))
    }
}

fn number(key: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(key.try_into()?))
}

impl Tables {
    fn commit(&self, subject: &Subject, data: &[Bytes]) -> Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if self.streams.contains_key(key(&subject.name, subject.count))? {
            bail!("another version");
        }
        let mut batch = self.database.batch();
        let mut position = *next;
        for (version, data) in (subject.count..).zip(data) {
            batch.insert(&self.all, position.to_be_bytes(), &data[..]);
            batch.insert(&self.streams, key(&subject.name, version), position.to_be_bytes());
            position += 1;
        }
        batch.commit()?;
        *next = position;
        Ok(())
    }
}

#[async_trait]
impl Peer for Embedded {
    fn home(&self) -> Home {
        Home::Threads
    }

    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session(self.0.clone())))
    }
}

struct Session(Arc<Tables>);

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        self.0.commit(subject, data)?;
        self.0.database.persist(PersistMode::SyncData)?;
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let mut tally = Tally::default();
        let versions = key(&subject.name, 0)..=key(&subject.name, u64::MAX);
        for entry in self.0.streams.range(versions) {
            let data = self.0.all.get(entry.value()?)?.context("an event without its data")?;
            tally.see(black_box(&data));
        }
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        for entry in self.0.all.iter().take(limit as usize) {
            tally.see(black_box(&entry.value()?));
        }
        Ok(tally)
    }
}
