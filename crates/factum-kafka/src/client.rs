//! What librdkafka says beside its answers: that the brokers refuse who we are. It goes on trying,
//! so that without this a wrong password looks like a broker that is away.

use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::sync::{Arc, Mutex, PoisonError};

/// What a client was told, shared with whoever waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Option<String>>>);

impl Told {
    /// Why the brokers refuse this client, if they do.
    pub(crate) fn refused(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something was answered, so it is not refused, or no longer.
    pub(crate) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ClientContext for Told {
    fn error(&self, error: KafkaError, reason: &str) {
        let refused = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::UnsupportedSASLMechanism
                    | Code::SSL
            )
        );
        if refused {
            let why = format!("{reason}: look at the settings sasl.* and ssl.*");
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }
}
