//! Waiting without a runtime: a `block_on` that parks its thread, a limit on any future, and
//! polling by hand.

use factum_core::completion::{Completion, completion};
use futures_util::future::{Either, select};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future to its end on this thread, which parks while there is nothing to do.
///
/// ```
/// assert_eq!(factum_testkit::block_on(async { 7 }), 7);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Waits for a future, but not for ever; `None` when its time is up.
///
/// ```
/// use factum_testkit::{block_on, within};
/// use std::time::Duration;
/// assert_eq!(block_on(within(Duration::from_secs(60), async { 7 })), Some(7));
/// assert_eq!(block_on(within(Duration::ZERO, std::future::pending::<u8>())), None);
/// ```
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    // Boxed, as the futures of whole cases pass through here, and threads' stacks are small.
    let future: Pin<Box<_>> = Box::pin(future);
    let (_keeps_it_set, alarm) = alarm(limit);
    match select(future, alarm).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}

/// Resolves after the time, unless the sender is dropped first.
fn alarm(after: Duration) -> (mpsc::SyncSender<()>, Completion<()>) {
    let (filler, rings) = completion();
    // Nothing is ever sent: only the drop is waited for.
    let (sender, dropped) = mpsc::sync_channel(0);
    thread::spawn(move || {
        if dropped.recv_timeout(after) == Err(mpsc::RecvTimeoutError::Timeout) {
            filler.fill(());
        }
    });
    (sender, rings)
}

/// Polls once, and says what came of it. The future is woken to no effect.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_from_another_thread_arrives() {
        let (filler, value) = completion();
        let thread = thread::spawn(move || filler.fill(7));
        assert_eq!(block_on(value), Some(7));
        thread.join().expect("it only fills");
    }

    #[test]
    fn what_never_comes_is_given_up() {
        let never = std::future::pending::<()>();
        assert_eq!(block_on(within(Duration::from_millis(1), never)), None);
    }
}
