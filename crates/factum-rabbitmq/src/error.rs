//! Why there is no connection, and what the broker's errors mean to who publishes or consumes.
//!
//! AMQP has numbers for errors and closes a channel, or the connection, with each. What is decided
//! here is whether trying again may help, and what the cure is where it may not.

use factum_app::message::ConsumeError;
use lapin::{Error, ErrorKind};

/// Why a connection cannot be used: found when it is made, before anything is published.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// It is no URL of a broker. Write `amqp://user:password@host:5672/%2f`, or `amqps://`.
    #[error("no URL of RabbitMQ (as amqp://user:password@host:5672/%2f): {why}")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// A setting is outside its limits.
    #[error("the setting {name} {why}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The broker knows no such user, or another password, or lets nobody into the virtual host.
    /// Correct the URL, or `rabbitmqctl add_user`, `add_vhost`, `set_permissions`.
    #[error("the broker refuses the user or the virtual host of the URL: {said}")]
    Credentials {
        /// What it said.
        said: String,
    },
    /// The exchange is there and is of another type or not durable. Delete it, or use another.
    #[error(
        "the exchange {exchange:?} is there, and is no durable topic exchange: delete it, or name \
         another in the settings: {said}"
    )]
    Exchange {
        /// Its name.
        exchange: String,
        /// What the broker said.
        said: String,
    },
    /// The user may not do what is needed. `rabbitmqctl set_permissions -p VHOST USER CONFIGURE
    /// WRITE READ`, each a pattern of names.
    #[error("the user lacks a permission; rabbitmqctl set_permissions gives it: {said}")]
    Permission {
        /// What the broker said: which permission, on what.
        said: String,
    },
    /// The broker cannot be reached within the limit. Try again; look at host, port and TLS.
    #[error("the broker is away: {why}")]
    Unavailable {
        /// What is known.
        why: String,
    },
}

/// An error of the broker, by what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It passes: no connection, a broker that is starting or stopping.
    Away(String),
    /// It stays as it is until somebody changes something.
    Refused { code: u16, said: String },
}

pub(crate) const ACCESS_REFUSED: u16 = 403;
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const PRECONDITION_FAILED: u16 = 406;
/// A virtual host that is not there, or not this user's.
const NOT_ALLOWED: u16 = 530;
/// What trying again does not cure: the rest are the broker's own troubles.
const LASTING: [u16; 5] = [ACCESS_REFUSED, NOT_FOUND, 405, PRECONDITION_FAILED, NOT_ALLOWED];

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(refusal) if LASTING.contains(&refusal.get_id()) => {
                let said = refusal.get_message().to_string();
                Self::Refused { code: refusal.get_id(), said }
            }
            _ => Self::Away(error.to_string()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl Trouble {
    /// Of a connection that was being made.
    pub(crate) fn connecting(self) -> ConnectError {
        match self {
            Self::Away(why) => ConnectError::Unavailable { why },
            Self::Refused { said, .. } => ConnectError::Credentials { said },
        }
    }

    /// Of an exchange that was being declared.
    pub(crate) fn declaring(self, exchange: &str) -> ConnectError {
        match self {
            Self::Away(why) => ConnectError::Unavailable { why },
            Self::Refused { code: ACCESS_REFUSED, said } => ConnectError::Permission { said },
            Self::Refused { said, .. } => {
                ConnectError::Exchange { exchange: exchange.to_owned(), said }
            }
        }
    }

    /// Of a subscription, or of a queue.
    pub(crate) fn consuming(self) -> ConsumeError {
        match self {
            Self::Away(why) => ConsumeError::Unavailable { why },
            Self::Refused { code, said } => {
                ConsumeError::Refused { why: format!("{said}; {}", cure(code)) }
            }
        }
    }
}

/// What helps.
pub(crate) fn cure(code: u16) -> &'static str {
    match code {
        ACCESS_REFUSED => {
            "give the user the permission with `rabbitmqctl set_permissions`, or correct the URL"
        }
        PRECONDITION_FAILED => {
            "a queue or exchange of that name is there in another form: delete it, subscribe as \
             before, or use another name"
        }
        NOT_FOUND => "it was deleted meanwhile: connect anew to declare it",
        _ => "see the broker's log",
    }
}
