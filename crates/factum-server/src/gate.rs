//! Counters with a maximum: what lets a call, a connection or bytes in, or refuses them at once.
//!
//! Nothing waits here. A permit gives back what it took when it is dropped, so that a cancelled
//! call costs nothing.

use crate::config::Limits;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many connections above the maximum are answered with a refusal before the rest are closed.
const REFUSED_CONNECTIONS_MAX: usize = 64;

/// One counter.
#[derive(Debug)]
pub(crate) struct Counter {
    used: AtomicUsize,
    max: usize,
    refused: AtomicUsize,
}

impl Counter {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max, refused: AtomicUsize::new(0) })
    }

    /// What is taken now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How often something was refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn add(&self, amount: usize) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(amount).filter(|sum| *sum <= self.max)
        });
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Takes `amount`, or nothing where that is too much.
    pub(crate) fn take(self: &Arc<Self>, amount: usize) -> Option<Permit> {
        self.add(amount).then(|| Permit { counter: self.clone(), amount })
    }

    /// A permit for nothing, that may grow.
    pub(crate) fn nothing(self: &Arc<Self>) -> Permit {
        Permit { counter: self.clone(), amount: 0 }
    }
}

/// What was taken; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit {
    counter: Arc<Counter>,
    amount: usize,
}

impl Permit {
    /// Takes more; what was taken stays where that is too much.
    pub(crate) fn grow(&mut self, amount: usize) -> bool {
        let grown = self.counter.add(amount);
        if grown {
            self.amount += amount;
        }
        grown
    }

    /// Gives all of it back, and can grow again.
    pub(crate) fn clear(&mut self) {
        self.counter.used.fetch_sub(std::mem::take(&mut self.amount), Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.clear();
    }
}

/// All counters of a server.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) connections: Arc<Counter>,
    pub(crate) refused_connections: Arc<Counter>,
    pub(crate) calls: Arc<Counter>,
    pub(crate) subscriptions: Arc<Counter>,
    pub(crate) received_bytes: Arc<Counter>,
    pub(crate) append_bytes: Arc<Counter>,
    pub(crate) copies: Arc<Counter>,
    pub(crate) verifications: Arc<Counter>,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: Counter::new(limits.connections_max),
            refused_connections: Counter::new(REFUSED_CONNECTIONS_MAX),
            calls: Counter::new(limits.calls_max),
            subscriptions: Counter::new(limits.subscriptions_max),
            received_bytes: Counter::new(limits.received_bytes_max),
            append_bytes: Counter::new(limits.append_bytes_max),
            copies: Counter::new(limits.copies_max),
            verifications: Counter::new(limits.verifications_max),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn takes_to_the_limit_and_gives_back() {
        let counter = Counter::new(3);
        let mut first = counter.take(2).unwrap();
        assert!(counter.take(2).is_none(), "2 + 2 is one past 3");
        assert!(first.grow(1) && !first.grow(1));
        assert_eq!((counter.used(), counter.refused()), (3, 2));
        first.clear();
        assert_eq!(counter.used(), 0);
        drop(counter.take(3).unwrap());
        drop(first);
        assert_eq!(counter.used(), 0);
        assert!(counter.take(usize::MAX).is_none());
    }
}
