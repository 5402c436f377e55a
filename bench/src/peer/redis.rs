//! Redis Streams: one Redis stream an event stream, with explicit ids `0-VERSION`.
//!
//! An id that is not above the last is refused, which is less than an exact check. There is no log
//! of everything: what is read as such is one large stream.

mod resp;

use super::{ARRIVALS_MAX, Arrivals, Client, Peer, Subject, Tally, arrived};
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use resp::{Connection, Value};

/// Events that are read at once.
const PAGE: &[u8] = b"1000";

/// The stream that stands for the log of everything, and for what a subscriber follows.
const EVERYTHING: &str = "everything";

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(authority.to_owned())
    }
}

#[async_trait]
impl Peer for Server {
    /// A server that reads its file answers with an error.
    async fn setup(&self) -> Result<()> {
        Connection::open(&self.0).await?.call(&[b"PING"]).await.map(drop)
    }

    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session(Connection::open(&self.0).await?)))
    }

    fn whole_log(&self) -> Option<&'static str> {
        Some(EVERYTHING)
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        let mut connection = Connection::open(&self.0).await?;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            let mut after = b"$".to_vec();
            loop {
                let command: [&[u8]; 6] =
                    [b"XREAD", b"BLOCK", b"5000", b"STREAMS", EVERYTHING.as_bytes(), &after];
                let answer = connection.call(&command).await?;
                let mut all = true;
                entries(&answer, &mut |id, data| {
                    after = id.to_vec();
                    all &= arrived(&sender, data);
                });
                if !all {
                    return anyhow::Ok(());
                }
            }
        });
        Ok(arrivals)
    }
}

/// Finds the entries of an answer, however deep: `[id, [field, data]]`.
fn entries(answer: &Value, see: &mut dyn FnMut(&[u8], &[u8])) {
    let Value::Array(values) = answer else { return };
    if let [Value::Bytes(id), Value::Array(fields)] = values.as_slice()
        && let [Value::Bytes(_), Value::Bytes(data)] = fields.as_slice()
    {
        return see(id, data);
    }
    values.iter().for_each(|value| entries(value, see));
}

struct Session(Connection);

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let stream = subject.name.as_bytes();
        let id = |place: usize| format!("0-{}", subject.count + place as u64 + 1);
        if let [one] = data {
            self.0.call(&[b"XADD", stream, id(0).as_bytes(), b"d", one]).await?;
        } else {
            self.0.push(&[b"MULTI"]);
            for (place, data) in data.iter().enumerate() {
                self.0.push(&[b"XADD", stream, id(place).as_bytes(), b"d", data]);
            }
            self.0.push(&[b"EXEC"]);
            self.0.send().await?;
            for _ in 0..data.len() + 2 {
                self.0.receive().await?.no_error()?;
            }
        }
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let mut tally = Tally::default();
        loop {
            let from = format!("0-{}", tally.events + 1);
            let range: [&[u8]; 6] =
                [b"XRANGE", subject.name.as_bytes(), from.as_bytes(), b"+", b"COUNT", PAGE];
            let answer = self.0.call(&range).await?;
            let before = tally.events;
            entries(&answer, &mut |_, data| tally.see(data));
            if tally.events < before + 1000 {
                break;
            }
        }
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, _limit: u64) -> Result<Tally> {
        self.read_stream(&mut Subject::named(EVERYTHING.to_owned())).await
    }
}
