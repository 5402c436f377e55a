//! A result that another thread will bring: one value, one waker, no runtime.

use crate::sync::modelled::Mutex;
use std::{
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

#[derive(Debug)]
struct Shared<T> {
    value: Option<T>,
    waker: Option<Waker>,
    /// The filler was dropped: no value will come.
    abandoned: bool,
}

/// The side that awaits. Resolves to `None` if the [`Filler`] is dropped unfilled.
#[derive(Debug)]
pub struct Completion<T>(Arc<Mutex<Shared<T>>>);

/// The side that brings the value.
#[derive(Debug)]
pub struct Filler<T>(Arc<Mutex<Shared<T>>>);

/// A pair of both sides.
///
/// ```
/// let (filler, completion) = factum_core::completion::completion();
/// std::thread::spawn(move || filler.fill(7));
/// # use std::{future::Future, pin::pin, task::{Context, Waker, Poll}};
/// # let mut completion = pin!(completion);
/// # let value = loop {
/// #     let mut context = Context::from_waker(Waker::noop());
/// #     if let Poll::Ready(v) = completion.as_mut().poll(&mut context) {
/// #         break v;
/// #     }
/// # };
/// assert_eq!(value, Some(7));
/// ```
#[must_use]
pub fn completion<T>() -> (Filler<T>, Completion<T>) {
    let shared = Shared { value: None, waker: None, abandoned: false };
    let shared = Arc::new(Mutex::new(shared));
    (Filler(shared.clone()), Completion(shared))
}

impl<T> Filler<T> {
    /// Brings the value and wakes the other side.
    pub fn fill(self, value: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
        // Dropping `self` wakes.
    }
}

impl<T> Drop for Filler<T> {
    fn drop(&mut self) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.abandoned = true;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Completion<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.value.take() {
            Some(value) => Poll::Ready(Some(value)),
            None if shared.abandoned => Poll::Ready(None),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Every order of the steps of who brings a value and who awaits it.
#[cfg(all(test, feature = "loom"))]
mod every_order {
    use super::*;
    use loom::{future::block_on, model, thread};

    #[test]
    fn loom_a_value_arrives_in_every_order() {
        model(|| {
            let (filler, completion) = completion();
            let filling = thread::spawn(move || filler.fill(7));
            assert_eq!(block_on(completion), Some(7));
            filling.join().unwrap();
        });
    }

    #[test]
    fn loom_who_awaits_what_is_abandoned_is_told_in_every_order() {
        model(|| {
            let (filler, completion) = completion::<u32>();
            let leaving = thread::spawn(move || drop(filler));
            assert_eq!(block_on(completion), None);
            leaving.join().unwrap();
        });
    }

    #[test]
    fn loom_who_awaits_may_go_away_while_it_is_filled() {
        model(|| {
            let (filler, completion) = completion();
            let filling = thread::spawn(move || filler.fill(7));
            drop(completion);
            filling.join().unwrap();
        });
    }
}
