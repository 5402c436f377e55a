//! redb as an event store, in this process: a commit is durable (its default).

use super::{Client, Home, Peer, Subject, Tally, tables::key};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::{fs, hint::black_box, path::Path, sync::Arc};

const ALL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("all");
const STREAMS: TableDefinition<'_, &[u8], u64> = TableDefinition::new("streams");

pub(super) struct Embedded(Arc<Database>);

impl Embedded {
    pub(super) fn open(folder: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let database = Database::create(Path::new(folder).join("events.redb"))?;
        let write = database.begin_write()?;
        write.open_table(ALL)?;
        write.open_table(STREAMS)?;
        write.commit()?;
        Ok(Self(Arc::new(database)))
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

struct Session(Arc<Database>);

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let write = self.0.begin_write()?;
        {
            let (mut all, mut streams) = (write.open_table(ALL)?, write.open_table(STREAMS)?);
            if streams.get(key(&subject.name, subject.count).as_slice())?.is_some() {
                bail!("another version");
            }
            let mut position = all.last()?.map_or(0, |(last, _)| last.value() + 1);
            for (version, data) in (subject.count..).zip(data) {
                all.insert(position, &data[..])?;
                streams.insert(key(&subject.name, version).as_slice(), position)?;
                position += 1;
            }
        }
        write.commit()?;
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let read = self.0.begin_read()?;
        let (all, streams) = (read.open_table(ALL)?, read.open_table(STREAMS)?);
        let (first, last) = (key(&subject.name, 0), key(&subject.name, u64::MAX));
        let mut tally = Tally::default();
        for entry in streams.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
            let position = entry?.1.value();
            let data = all.get(position)?.context("an event without its data")?;
            tally.see(black_box(&data.value().to_vec()));
        }
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        let read = self.0.begin_read()?;
        let mut tally = Tally::default();
        for entry in read.open_table(ALL)?.range(0..limit)? {
            tally.see(black_box(&entry?.1.value().to_vec()));
        }
        Ok(tally)
    }
}
