//! Factum in this process: the blocking face of the facade, a thread a client.

use super::{Client, Home, Peer, Subject, Tally, factum_words as words, factum_words::Words};
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use factum::{Read, blocking};

pub(super) struct Embedded(blocking::Store);

impl Embedded {
    pub(super) fn open(folder: &str) -> Result<Self> {
        Ok(Self(blocking::open(&format!("file:{folder}"))?))
    }
}

#[async_trait]
impl Peer for Embedded {
    fn home(&self) -> Home {
        Home::Threads
    }

    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session { store: self.0.clone(), words: Words::new()? }))
    }
}

struct Session {
    store: blocking::Store,
    words: Words,
}

impl Session {
    fn read(&self, read: Read) -> Result<Tally> {
        let mut tally = Tally::default();
        for event in self.store.read(read)? {
            tally.see(event?.data());
        }
        Ok(tally)
    }
}

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, events: &[Bytes]) -> Result<()> {
        self.store.append(self.words.append(subject, events)?)?;
        subject.count += events.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let tally = self.read(words::read_stream(subject)?)?;
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        self.read(words::read_all(limit))
    }
}
