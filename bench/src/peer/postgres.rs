//! PostgreSQL with the table of events that is usual there: the primary key is the check.
//!
//! Live subscribers are told by NOTIFY in the appending transaction, and then ask.

use super::{ARRIVALS_MAX, Arrivals, Client as Session, EVENT_TYPE, Peer, Subject, Tally, arrived};
use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future::poll_fn, pin_mut};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, NoTls, Row, Statement, types::ToSql};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event_store (
  position bigserial NOT NULL,
  stream_id text NOT NULL,
  version bigint NOT NULL,
  event_type text NOT NULL,
  event_id uuid NOT NULL DEFAULT gen_random_uuid(),
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stream_id, version));
CREATE UNIQUE INDEX IF NOT EXISTS event_store_position ON event_store(position);";

const ONE: &str = "INSERT INTO event_store(stream_id, version, event_type, data)
  VALUES ($1, $2, $3, $4::text::jsonb)";

const MANY: &str = "INSERT INTO event_store(stream_id, version, event_type, data)
  SELECT $1, $2 + place - 1, $3, data::jsonb
  FROM unnest($4::text[]) WITH ORDINALITY AS new(data, place)";

const NOTIFYING: &str = "WITH new AS (INSERT INTO event_store(stream_id, version, event_type, data)
  VALUES ($1, $2, $3, $4::text::jsonb) RETURNING position)
  SELECT pg_notify('events', position::text) FROM new";

const STREAM: &str = "SELECT data::text, version, event_type FROM event_store
  WHERE stream_id = $1 ORDER BY version";

const ALL: &str = "SELECT data::text, position, stream_id, version, event_type FROM event_store
  ORDER BY position LIMIT $1";

const AFTER: &str = "SELECT data::text, position FROM event_store
  WHERE position > $1 ORDER BY position LIMIT 1000";

pub(super) struct Server {
    settings: String,
    /// Whether somebody subscribes: only then do appends notify.
    listened: std::sync::atomic::AtomicBool,
}

impl Server {
    /// At `host:port`.
    pub(super) fn at(authority: &str) -> Result<Self> {
        let (host, port) = authority.rsplit_once(':').context("the address is host:port")?;
        let settings = format!("host={host} port={port} user=postgres dbname=postgres");
        Ok(Self { settings, listened: false.into() })
    }

    async fn connect(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.settings, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

#[async_trait]
impl Peer for Server {
    async fn setup(&self) -> Result<()> {
        Ok(self.connect().await?.batch_execute(SCHEMA).await?)
    }

    async fn client(&self) -> Result<Box<dyn Session>> {
        let client = self.connect().await?;
        let notify = self.listened.load(std::sync::atomic::Ordering::Relaxed);
        let one = client.prepare(if notify { NOTIFYING } else { ONE }).await?;
        let many = client.prepare(MANY).await?;
        let stream = client.prepare(STREAM).await?;
        let all = client.prepare(ALL).await?;
        Ok(Box::new(Connection { client, one, many, stream, all }))
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        self.listened.store(true, std::sync::atomic::Ordering::Relaxed);
        let (client, mut connection) = tokio_postgres::connect(&self.settings, NoTls).await?;
        let news = std::sync::Arc::new(Notify::new());
        let told = news.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(_) = message {
                    told.notify_one();
                }
            }
        });
        client.batch_execute("LISTEN events").await?;
        let last = "SELECT coalesce(max(position), 0) FROM event_store";
        let mut last: i64 = client.query_one(last, &[]).await?.try_get(0)?;
        let after = client.prepare(AFTER).await?;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            loop {
                news.notified().await;
                for row in client.query(&after, &[&last]).await? {
                    last = row.try_get(1)?;
                    if !arrived(&sender, row.try_get::<_, &str>(0)?.as_bytes()) {
                        return anyhow::Ok(());
                    }
                }
            }
        });
        Ok(arrivals)
    }
}

struct Connection {
    client: Client,
    one: Statement,
    many: Statement,
    stream: Statement,
    all: Statement,
}

impl Connection {
    /// Counts the rows of a statement with one parameter, as they come.
    async fn count(&self, statement: &Statement, with: &(dyn ToSql + Sync)) -> Result<Tally> {
        let rows = self.client.query_raw(statement, [with]).await?;
        pin_mut!(rows);
        let mut tally = Tally::default();
        while let Some(row) = rows.next().await {
            let row: Row = row?;
            tally.see(row.try_get::<_, &str>(0)?.as_bytes());
        }
        Ok(tally)
    }
}

#[async_trait]
impl Session for Connection {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let texts = data.iter().map(|data| std::str::from_utf8(data));
        let texts = texts.collect::<Result<Vec<&str>, _>>()?;
        let (stream, next) = (&subject.name, subject.count as i64);
        if let [text] = texts.as_slice() {
            self.client.query(&self.one, &[stream, &next, &EVENT_TYPE, text]).await?;
        } else {
            self.client.execute(&self.many, &[stream, &next, &EVENT_TYPE, &texts]).await?;
        }
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let tally = self.count(&self.stream, &subject.name).await?;
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        self.count(&self.all, &(limit as i64)).await
    }
}
