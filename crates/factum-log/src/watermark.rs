//! How far readers see, and who waits for more.
//!
//! Apart from the rest that is shared, because here a wake-up could be lost: small enough for a
//! checker to try every order of its steps (below, with the feature `loom`; what is kept must have
//! an order of its own for that). What must hold: who was told to wait is woken once the head is
//! past what it saw, or nothing more will come.

use crate::planted::{Bug, is_on};
use factum_core::{
    Position,
    sync::modelled::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use std::{collections::BTreeMap, sync::PoisonError, task::Waker};

#[derive(Debug)]
pub(crate) struct Watermark {
    /// The position of the last durable event: readers see no further.
    head: AtomicU64,
    /// Who waits for the head to move, by number: forgotten when woken, or when they go.
    waiting: Mutex<BTreeMap<u64, Waker>>,
    numbers: AtomicU64,
    closed: AtomicBool,
}

impl Watermark {
    pub(crate) fn new(head: Position) -> Self {
        Self {
            head: AtomicU64::new(head.0),
            waiting: Mutex::new(BTreeMap::new()),
            numbers: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn head(&self) -> Position {
        Position(self.head.load(Ordering::Acquire))
    }

    /// Lets readers see up to a position, and wakes who waits for more.
    pub(crate) fn publish(&self, head: Position) {
        if is_on(Bug::WakeBeforePublish) {
            self.wake();
            crate::planted::pause();
        }
        let behind = u64::from(is_on(Bug::HeadBehind));
        let before = self.head.swap(head.0.saturating_sub(behind), Ordering::Release);
        assert!(before <= head.0, "the head never goes back");
        if !is_on(Bug::WakeBeforePublish) {
            self.wake();
        }
    }

    /// Wakes everybody who waits for the head to move.
    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting());
        waiting.into_values().for_each(Waker::wake);
    }

    /// A number for one who may wait.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks for a wake-up when the head is past `seen`. False if it is already, or if nothing more
    /// will come.
    pub(crate) fn wait_past(&self, number: u64, seen: Position, waker: &Waker) -> bool {
        let mut waiting = self.waiting();
        // Under the lock: a publisher moves the head first, and takes the list then.
        if self.head() > seen || self.is_closed() {
            return false;
        }
        waiting.insert(number, waker.clone());
        true
    }

    /// Forgets one who goes.
    pub(crate) fn forget(&self, number: u64) {
        self.waiting().remove(&number);
    }

    /// Nothing more will come: nobody waits any longer.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting().len()
    }
}

/// Every order of the steps of two or three threads.
#[cfg(all(test, feature = "loom"))]
mod every_order {
    use super::*;
    use loom::{future::block_on, model, thread};
    use std::{
        future::poll_fn,
        sync::Arc,
        task::{Context, Poll},
    };

    /// Waits until the head is past what was seen; false where nothing more will come.
    async fn past(watermark: &Watermark, seen: Position) -> bool {
        let number = watermark.number();
        poll_fn(|context: &mut Context<'_>| {
            if watermark.wait_past(number, seen, context.waker()) {
                return Poll::Pending;
            }
            Poll::Ready(watermark.head() > seen)
        })
        .await
    }

    #[test]
    fn loom_who_waits_is_woken_when_the_head_moves() {
        model(|| {
            let watermark = Arc::new(Watermark::new(Position(1)));
            let publisher = watermark.clone();
            let publishing = thread::spawn(move || publisher.publish(Position(2)));
            assert!(block_on(past(&watermark, Position(1))));
            publishing.join().unwrap();
            assert_eq!(watermark.waiting_count(), 0);
        });
    }

    /// Three threads have too many orders: those in which one is interrupted twice at most.
    #[test]
    fn loom_two_who_wait_are_both_woken() {
        let mut few = loom::model::Builder::new();
        few.preemption_bound = Some(2);
        few.check(|| {
            let watermark = Arc::new(Watermark::new(Position(1)));
            let other = watermark.clone();
            let waiting = thread::spawn(move || block_on(past(&other, Position(1))));
            let publisher = watermark.clone();
            let publishing = thread::spawn(move || publisher.publish(Position(2)));
            assert!(block_on(past(&watermark, Position(1))));
            assert!(waiting.join().unwrap());
            publishing.join().unwrap();
        });
    }

    #[test]
    fn loom_who_waits_is_told_that_nothing_more_will_come() {
        model(|| {
            let watermark = Arc::new(Watermark::new(Position(1)));
            let closer = watermark.clone();
            let closing = thread::spawn(move || closer.close());
            assert!(!block_on(past(&watermark, Position(1))));
            closing.join().unwrap();
        });
    }
}
