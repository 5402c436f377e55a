//! What librdkafka reports, in the words of the traits: a code means the same wherever it comes up.

use factum_app::message::{ConsumeError, PublishError};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    types::RDKafkaConfRes,
};

/// Why there is no client for a cluster.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting is wrong, unknown, or of a feature that is not compiled in. Change it.
    #[error("the setting {name:?} is wrong: {why}")]
    Setting {
        /// Which.
        name: String,
        /// What is wrong, and the cure.
        why: String,
    },
    /// The cluster refuses who we are, or what we ask for. Change the credentials, or the rights.
    #[error("the cluster refuses: {why}")]
    Refused {
        /// What it said, and the cure.
        why: String,
    },
    /// No broker answered in time. Try again, or name other brokers.
    #[error("the cluster is away: {why}")]
    Unavailable {
        /// What is known.
        why: String,
    },
}

impl From<KafkaError> for ConnectError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(kind, what, name, _) => {
                let cure = match kind {
                    RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => "; librdkafka has no such setting",
                    _ => of_feature(&what),
                };
                Self::Setting { name, why: format!("{what}{cure}") }
            }
            KafkaError::ClientCreation(what) => {
                let why = format!("{what}{}", of_feature(&what));
                Self::Setting { name: String::new(), why }
            }
            other => Self::Unavailable { why: other.to_string() },
        }
    }
}

/// What librdkafka was built without, in terms of who builds it.
fn of_feature(what: &str) -> &'static str {
    match cfg!(feature = "tls") || !what.to_ascii_lowercase().contains("openssl") {
        true => "",
        false => ": build factum-kafka with its feature `tls`",
    }
}

impl From<ConnectError> for ConsumeError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unavailable { why } => Self::Unavailable { why },
            other => Self::Refused { why: other.to_string() },
        }
    }
}

/// Why a topic cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TopicError {
    Missing(String),
    Refused(String),
    Away(String),
}

impl TopicError {
    pub(crate) fn of_publishing(self, topic: &str) -> PublishError {
        match self {
            Self::Missing(why) => PublishError::Unroutable { topic: topic.to_owned(), why },
            Self::Refused(why) => PublishError::Refused { why },
            Self::Away(why) => PublishError::Unavailable { why },
        }
    }
}

impl TopicError {
    pub(crate) fn of_consuming(self) -> ConsumeError {
        match self {
            Self::Missing(why) | Self::Refused(why) => ConsumeError::Refused { why },
            Self::Away(why) => ConsumeError::Unavailable { why },
        }
    }
}

impl From<ConnectError> for TopicError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unavailable { why } => Self::Away(why),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Whether the cluster will say the same however often it is asked, and the cure. Credentials that
/// are refused are not among it, see `client`.
pub(crate) fn refusal(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TopicAuthorizationFailed => "give this user the right to the topic",
        Code::GroupAuthorizationFailed => "give this user the right to the group",
        Code::ClusterAuthorizationFailed => "give this user IdempotentWrite on the cluster",
        Code::TransactionalIdAuthorizationFailed => "give this user the transactional id",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            "the topic takes less than `Options::max_bytes`: raise its max.message.bytes, or lower \
             that"
        }
        Code::InvalidTopic => "a topic's name has letters, digits, '.', '_' and '-', 249 at most",
        Code::PolicyViolation => "a policy of the cluster forbids it",
        Code::InvalidRecord => "a compacted topic wants every message to have a key",
        Code::UnsupportedCompressionType => "choose another compression.type",
        Code::UnsupportedVersion | Code::UnsupportedFeature => "the cluster is too old for it",
        Code::InvalidReplicationFactor => "there are fewer brokers than `NewTopics::replication`",
        Code::InvalidSessionTimeout => "set session.timeout.ms within the cluster's bounds",
        Code::InconsistentGroupProtocol => "others in the group assign partitions in another way",
        Code::InvalidTransactionTimeout => {
            "lower the setting transaction.timeout.ms, or raise the brokers' \
             transaction.max.timeout.ms"
        }
        Code::InvalidGroupId => "choose another name for the group",
        _ => return None,
    })
}

/// Why a message that was given to librdkafka was not confirmed.
pub(crate) fn unconfirmed(error: &KafkaError, topic: &str) -> PublishError {
    let why = error.to_string();
    match error.rdkafka_error_code() {
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            PublishError::Unroutable { topic: topic.to_owned(), why: format!("{why}: create it") }
        }
        Some(Code::NotEnoughReplicas) => PublishError::Unavailable { why },
        Some(code) => match refusal(code) {
            Some(cure) => PublishError::Refused { why: format!("{why}: {cure}") },
            None => PublishError::Unknown { why },
        },
        None => PublishError::Unknown { why },
    }
}
