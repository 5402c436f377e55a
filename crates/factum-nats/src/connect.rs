//! The connection: how it is made, made again, and what it hears besides messages.

use crate::{
    consume::acks::Acks,
    settings::{Login, Settings},
    stream::{self, StreamError},
    subject::takes,
};
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, ServerError,
    connection::State,
    jetstream::{Context, context::ContextBuilder},
};
use std::{collections::VecDeque, fmt, sync::Arc, sync::Mutex, sync::PoisonError, time::Duration};
use tokio::sync::watch;

/// How long a server may be silent before it is asked whether it is there; twice that, and the
/// connection is made anew.
const PING: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// How many subjects that the server refused are remembered.
const DENIED_MAX: usize = 64;

/// NATS: a publisher and a consumer. Clones share the connection.
#[derive(Clone)]
pub struct Nats {
    pub(crate) link: Arc<Link>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("settings", &self.link.settings).finish_non_exhaustive()
    }
}

impl Nats {
    /// Connects, and sees to the streams of the settings.
    ///
    /// # Errors
    ///
    /// Nobody is there, the login is refused, JetStream is off, or something is wrong with a
    /// stream.
    pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        let signals = Arc::new(Signals::default());
        let heard = Arc::clone(&signals);
        let options = options(&settings).await?.max_reconnects(None).event_callback(move |event| {
            heard.hear(&event);
            std::future::ready(())
        });
        let client = options.connect(settings.servers.clone()).await.map_err(|error| {
            let why = described(&error);
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    ConnectError::Login { why }
                }
                _ => ConnectError::Unreachable { servers: settings.servers.join(", "), why },
            }
        })?;
        let context = ContextBuilder::new().timeout(settings.within).build(client.clone());
        let acks = Acks::default();
        let link = Arc::new(Link { client, acks, context, signals, settings });
        link.signals.first().await;
        link.check().await?;
        Ok(Self { link })
    }

    /// Waits until what was sent is with the server, and closes the connection. Subscriptions are
    /// to be closed before.
    pub async fn close(self) {
        // Without a connection there is nothing to wait for.
        let _ = tokio::time::timeout(self.link.settings.within, self.link.client.drain()).await;
    }
}

/// What all who use a connection share.
pub(crate) struct Link {
    pub(crate) client: Client,
    /// Over which deliveries are settled.
    pub(crate) acks: Acks,
    pub(crate) context: Context,
    pub(crate) signals: Arc<Signals>,
    pub(crate) settings: Settings,
}

impl Link {
    async fn check(&self) -> Result<(), ConnectError> {
        let made = (self.settings.create, self.settings.partitions);
        for stream in &self.settings.streams {
            stream::ensure(&self.context, stream, made).await?;
        }
        let payload = u32::try_from(self.client.server_info().max_payload).unwrap_or(u32::MAX);
        for stream in &self.settings.streams {
            let wanted = stream.max_message_bytes.unwrap_or_default();
            if wanted > payload {
                return Err(ConnectError::Payload { found: payload, wanted });
            }
        }
        Ok(())
    }

    /// Waits for a connection; false if there is none within the limit.
    pub(crate) async fn connected(&self, within: Duration) -> bool {
        let mut connections = self.signals.connections.subscribe();
        let there = async {
            while self.client.connection_state() != State::Connected {
                let _ = tokio::time::timeout(PAUSE_MAX, connections.changed()).await;
            }
        };
        tokio::time::timeout(within, there).await.is_ok()
    }

    pub(crate) fn is_at_least(&self, major: i64, minor: i64) -> bool {
        self.client.is_server_compatible(major, minor, 0)
    }
}

/// What the client tells of beside messages.
#[derive(Default)]
pub(crate) struct Signals {
    /// Counts connections, made and lost.
    pub(crate) connections: watch::Sender<u64>,
    /// Counts what was denied.
    pub(crate) denials: watch::Sender<u64>,
    denied: Mutex<VecDeque<String>>,
}

impl Signals {
    fn hear(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(text)) = event
            && let Some(subject) = denied(text)
        {
            let mut all = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
            all.truncate(DENIED_MAX - 1);
            all.push_front(subject.to_owned());
            drop(all);
            self.denials.send_modify(|count| *count += 1);
        }
        if matches!(event, Event::Connected | Event::Disconnected) {
            self.connections.send_modify(|count| *count += 1);
        }
    }

    /// Waits until the first connection was heard of, so that it is not taken for another one.
    async fn first(&self) {
        let mut connections = self.connections.subscribe();
        let _ = tokio::time::timeout(PAUSE_MAX, connections.wait_for(|count| *count > 0)).await;
    }

    /// Whether the server refused this subject. It says so beside the request, which gets no
    /// answer.
    pub(crate) fn take_denied(&self, subject: &str) -> bool {
        let mut all = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|denied| !takes(denied, subject));
        all.len() < before
    }
}

/// The subject that may not be published to.
fn denied(text: &str) -> Option<&str> {
    let at = text.to_ascii_lowercase().find("permissions violation for publish to")?;
    text.get(at..)?.split('"').nth(1)
}

/// What every connection is made with.
pub(crate) async fn options(settings: &Settings) -> Result<ConnectOptions, ConnectError> {
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .ping_interval(PING)
        .connection_timeout(settings.within)
        .request_timeout(Some(settings.within))
        .reconnect_delay_callback(pause);
    if let Some(file) = &settings.certificates {
        options = options.add_root_certificates(file.clone());
    }
    Ok(match &settings.login {
        Login::None => options,
        Login::Token(token) => options.token(token.clone()),
        Login::Password { user, password } => {
            options.user_and_password(user.clone(), password.clone())
        }
        Login::Nkey(seed) => options.nkey(seed.clone()),
        Login::Credentials(file) => options.credentials_file(file).await.map_err(|error| {
            ConnectError::Login { why: format!("the file {}: {error}", file.display()) }
        })?,
    })
}

/// 0 at first, for another server of the cluster may be there; then growing.
fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(2)).unwrap_or(u32::MAX).min(10);
    match attempts {
        0 | 1 => Duration::ZERO,
        _ => (Duration::from_millis(50) * 2_u32.pow(doublings)).min(PAUSE_MAX),
    }
}

/// An error with what caused it.
pub(crate) fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Why there is no connection.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody is there, or not within the limit; or the URL is none. Look at the address.
    #[error("no connection to NATS at {servers}: {why}")]
    Unreachable {
        /// Where was tried.
        servers: String,
        /// What is known.
        why: String,
    },
    /// The login is refused. Look at the token, the user or the credentials.
    #[error("NATS refuses the login: {why}; look at the token, the user or the credentials")]
    Login {
        /// What the server said.
        why: String,
    },
    /// A message of the size that a stream is to take is more than the server takes. Raise its
    /// `max_payload`.
    #[error("the server takes messages of {found} bytes, not of {wanted}: raise its max_payload")]
    Payload {
        /// What it takes, in bytes.
        found: u32,
        /// What it is to take, in bytes.
        wanted: u32,
    },
    /// Something is wrong with a stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses = (0..20).map(pause).collect::<Vec<_>>();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!((pauses[1], pauses[2], pauses[19]), (Duration::ZERO, pause(2), PAUSE_MAX));
    }

    #[test]
    fn what_is_denied_is_read_from_what_the_server_says() {
        let text = r#"Permissions Violation for Publish to "a.b""#;
        assert_eq!(denied(text), Some("a.b"));
        assert_eq!(denied(r#"Permissions Violation for Subscription to "a.b""#), None);
        let signals = Signals::default();
        signals.hear(&Event::ServerError(ServerError::Other(text.into())));
        assert!(!signals.take_denied("a.c"));
        assert!(signals.take_denied("a.b"));
        assert!(!signals.take_denied("a.b"));
    }
}
