//! What a connection is told: where, as whom, which streams, and the limits of every wait.

use crate::stream::Stream;
use std::{fmt, path::PathBuf, time::Duration};

/// Where NATS is, and what is expected of it.
#[derive(Clone, Debug)]
#[must_use = "settings are for Nats::connect"]
pub struct Settings {
    pub(crate) servers: Vec<String>,
    pub(crate) name: String,
    pub(crate) login: Login,
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) create: bool,
    pub(crate) mode: Mode,
    pub(crate) partitions: u16,
    pub(crate) ack_wait: Duration,
    pub(crate) lease: Duration,
    pub(crate) within: Duration,
    pub(crate) dead_letters: Stream,
}

/// As whom to log in. Also a URL may say so: `nats://user:password@host`.
#[derive(Clone, Default)]
pub enum Login {
    /// As nobody, or as the URL says.
    #[default]
    None,
    /// With a token.
    Token(String),
    /// With a name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// With a file of credentials (a JWT and its key), as `nsc` writes it.
    Credentials(PathBuf),
    /// With the seed of an nkey.
    Nkey(String),
}

impl fmt::Debug for Login {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token",
            Self::Password { .. } => "Password",
            Self::Credentials(_) => "Credentials",
            Self::Nkey(_) => "Nkey",
        })
    }
}

/// How a CloudEvent is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Attributes in headers, the payload as it is.
    #[default]
    Binary,
    /// All of it one JSON document.
    Structured,
}

impl Settings {
    /// These servers: one URL, or several with commas between them. No stream is checked, none
    /// made.
    pub fn new(servers: &str) -> Self {
        Self {
            servers: servers.split(',').map(|url| url.trim().to_owned()).collect(),
            name: "factum".to_owned(),
            login: Login::None,
            certificates: None,
            streams: Vec::new(),
            create: false,
            mode: Mode::Binary,
            partitions: 1,
            ack_wait: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            within: Duration::from_secs(10),
            dead_letters: Stream::new("factum-dead", ["factum.dead.>"]),
        }
    }

    /// What the connection is called in the server's lists.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// As whom to log in.
    pub fn login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    /// Certificates (PEM) that servers are trusted by, beside those of the system.
    pub fn certificates(self, file: impl Into<PathBuf>) -> Self {
        Self { certificates: Some(file.into()), ..self }
    }

    /// A stream that must be there. What is published to its topics says that it is meant for it
    /// (`Nats-Expected-Stream`).
    pub fn stream(mut self, stream: Stream) -> Self {
        self.streams.push(stream);
        self
    }

    /// Streams that are missing are made, those of groups and of dead letters included. Those that
    /// are there are not changed, but checked.
    pub fn create(self) -> Self {
        Self { create: true, ..self }
    }

    /// How CloudEvents are written; both are read. Binary at first.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Over how many partitions keys are spread, 1 to 256; 1 at first.
    ///
    /// With 1, a topic is the subject, and one instance of a group works while the others stand by.
    /// With `n`, the subject of a topic is `p<n>.<partition>.<topic>`, and up to `n` instances of a
    /// group share the work. All programs that share a stream have the same number: the others find
    /// no stream for their subjects.
    pub fn partitions(self, partitions: u16) -> Self {
        Self { partitions: partitions.clamp(1, 256), ..self }
    }

    /// How long the server waits for a sign of life of a message that was handed out, before it
    /// gives it out again; 10 s at first, at least 1 s. It is given three such signs in this time,
    /// however long a handler takes.
    pub fn ack_wait(self, ack_wait: Duration) -> Self {
        Self { ack_wait: ack_wait.max(Duration::from_secs(1)), ..self }
    }

    /// How long a partition stays with an instance that gives no sign of life; 10 s at first, at
    /// least 1 s. The first who makes the stream of the groups sets it for all.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease: lease.max(Duration::from_secs(1)), ..self }
    }

    /// How long anything that is asked of the server may take: a confirmation, an acknowledgement,
    /// a connection; 10 s at first. Within it, what got no answer is sent again.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Where dead letters are kept: the subject of the stream's first topic, up to its wildcard,
    /// and behind it `<group>.<topic>`. `factum-dead` with `factum.dead.>` at first.
    pub fn dead_letters(self, stream: Stream) -> Self {
        Self { dead_letters: stream, ..self }
    }
}
