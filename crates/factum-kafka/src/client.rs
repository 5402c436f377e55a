//! What librdkafka says beside its answers: that the brokers refuse who we are. It goes on trying,
//! so that without this a wrong password looks like a broker that is away.
//!
//! It says the same of a connection that is lost in the middle of a handshake. So it is believed of
//! a client that was never answered; of any other it is an outage, which ends, as others do.

use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What a client was told, shared with whoever waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    refusal: Arc<Mutex<Option<String>>>,
    /// The brokers have taken these credentials: of this client, or of one before it.
    proved: Arc<AtomicBool>,
}

impl Told {
    /// For another client with the same settings.
    pub(crate) fn next(&self) -> Self {
        Self { refusal: Arc::default(), proved: Arc::clone(&self.proved) }
    }

    fn refusal(&self) -> MutexGuard<'_, Option<String>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the brokers refuse this client, if they do, and never took it.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refusal().clone().filter(|_| !self.proved.load(Ordering::Relaxed))
    }

    /// What is known, and that the brokers refuse this client, if that was said last.
    pub(crate) fn with_refusal(&self, what: &str) -> String {
        match &*self.refusal() {
            Some(why) => format!("{what}; {why}"),
            None => what.to_owned(),
        }
    }

    /// Something was answered, so it is not refused, or no longer.
    pub(crate) fn answered(&self) {
        self.proved.store(true, Ordering::Relaxed);
        *self.refusal() = None;
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
            *self.refusal() = Some(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that went away in the middle of a handshake was taken for one that refuses us: what
    /// was in flight was answered *refused*, and never sent again.
    #[test]
    fn who_was_answered_once_is_not_refused_any_more() {
        let told = Told::default();
        let lost = |told: &Told| {
            told.error(KafkaError::Global(Code::Authentication), "connection closed");
        };
        lost(&told);
        assert!(told.refused().is_some_and(|why| why.contains("sasl")));
        told.answered();
        assert_eq!((told.refused(), told.with_refusal("late")), (None, "late".to_owned()));
        lost(&told);
        let next = told.next();
        lost(&next);
        assert_eq!((told.refused(), next.refused()), (None, None));
        assert!(told.with_refusal("late").contains("connection closed"));
    }
}
