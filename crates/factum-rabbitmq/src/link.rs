//! A connection that is made again when it is lost, with growing pauses.
//!
//! One for publishing and one for consuming: an alarm of the broker stops a connection that
//! publishes, and acknowledgements must still get through.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex as Lock, PoisonError},
    time::Duration,
};

use lapin::{Channel, Connection, ConnectionProperties, ConnectionStatus, uri::AMQPUri};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{ConnectError, Settings, error::Trouble};

/// A broker that is gone without a word is noticed after two of these; the URL may say otherwise.
const HEARTBEAT_SECONDS: u16 = 10;
/// One try of connecting, or of opening a channel, also where nobody answers.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries: from the first to the last, doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(5);
/// How long the broker is given to say goodbye.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Link {
    uri: AMQPUri,
    name: String,
    connection: Mutex<Option<Connection>>,
    /// Of the last one; apart, as whoever makes a new one holds the other for seconds.
    status: Lock<Option<ConnectionStatus>>,
}

/// How a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It was not needed yet.
    Unused,
    /// It is there.
    Connected,
    /// It is there, and an alarm of the broker (memory, disk) stops what is published. What comes
    /// over it goes on.
    Blocked,
    /// It was lost, and is not there again.
    Away,
}

impl fmt::Debug for Link {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.uri.authority;
        write!(f, "Link({} to {}:{})", self.name, authority.host, authority.port)
    }
}

impl Link {
    pub(crate) fn new(settings: &Settings, what: &str) -> Result<Self, ConnectError> {
        let uri = settings.url.parse::<AMQPUri>();
        let mut uri = uri.map_err(|why| ConnectError::Url { why })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let limit = u64::try_from(CONNECT_LIMIT.as_millis()).unwrap_or(u64::MAX);
        uri.query.connection_timeout.get_or_insert(limit);
        let name = format!("{} {what}", settings.name);
        Ok(Self { uri, name, connection: Mutex::default(), status: Lock::default() })
    }

    /// A new channel: one try, on the connection that is there or on a new one.
    pub(crate) async fn channel(&self) -> Result<Channel, Trouble> {
        let mut connection = self.connection.lock().await;
        if let Some(there) = connection.as_ref().filter(|there| there.status().connected())
            && let Ok(channel) = open(there).await
        {
            return Ok(channel);
        }
        *connection = None;
        let made = self.connect().await?;
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.status().clone());
        let channel = open(&made).await?;
        *connection = Some(made);
        Ok(channel)
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let properties = ConnectionProperties::default();
        let properties = properties.with_connection_name(self.name.as_str().into());
        let connect = Connection::connect_uri(self.uri.clone(), properties);
        let made = timeout(CONNECT_LIMIT, connect).await;
        Ok(made.map_err(|_| Trouble::Away("it does not answer".to_owned()))??)
    }

    /// As [`channel`](Self::channel), tried again until this moment; a refusal is final.
    pub(crate) async fn channel_until(&self, end: Instant) -> Result<Channel, Trouble> {
        let mut pauses = Pauses::default();
        let mut last = Trouble::Away("no connection within the limit".to_owned());
        loop {
            match timeout_at(end, self.channel()).await {
                Ok(Err(away @ Trouble::Away(_))) => last = away,
                Ok(outcome) => return outcome,
                Err(_) => return Err(last),
            }
            if timeout_at(end, sleep(pauses.next())).await.is_err() {
                return Err(last);
            }
        }
    }

    /// How it is, without waiting for anybody.
    pub(crate) fn state(&self) -> State {
        match &*self.status.lock().unwrap_or_else(PoisonError::into_inner) {
            None => State::Unused,
            Some(status) if !status.connected() => State::Away,
            Some(status) if status.blocked() => State::Blocked,
            Some(_) => State::Connected,
        }
    }

    /// Whether an alarm of the broker (memory, disk) stops what is published here.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state() == State::Blocked
    }

    /// Ends the connection, if the broker lets it be ended within a limit.
    pub(crate) async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // One that is lost already cannot be closed, and need not.
            let _ = timeout(CLOSE_LIMIT, connection.close(200, "bye".into())).await;
        }
    }
}

/// A channel of it, within a limit: others wait meanwhile, and a broker that hangs never answers.
async fn open(connection: &Connection) -> Result<Channel, Trouble> {
    let made = timeout(CONNECT_LIMIT, connection.create_channel()).await;
    Ok(made.map_err(|_| Trouble::Away("it does not answer".to_owned()))??)
}

/// Growing pauses, drawn so that many who lost one broker do not all come back at once.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    tries: u32,
}

impl Pauses {
    /// The next one: at least half, at most all of the doubled one before it.
    pub(crate) fn next(&mut self) -> Duration {
        let full = PAUSE_FIRST.saturating_mul(1 << self.tries.min(16)).min(PAUSE_LAST);
        self.tries += 1;
        let drawn = random() % 1_000;
        full / 2 + full / 2 * u32::try_from(drawn).unwrap_or(0) / 1_000
    }
}

/// For pauses and names, nothing that must be kept secret or replayed.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        let mut pauses = Pauses::default();
        let all: Vec<Duration> = (0..40).map(|_| pauses.next()).collect();
        assert!(all[0] >= PAUSE_FIRST / 2 && all[0] <= PAUSE_FIRST);
        assert!(all[39] >= PAUSE_LAST / 2 && all.iter().all(|pause| *pause <= PAUSE_LAST));
    }
}
