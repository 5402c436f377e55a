//! How the referee tells the runner that a store refused what it declares it cannot do.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};

#[derive(Default)]
struct State {
    what: Option<String>,
    waiting: Vec<Waker>,
}

/// Said once, heard by the case and by each of its threads.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<State>>);

impl Refusal {
    /// Says it, and never returns: the case ends here.
    pub(crate) async fn declare(&self, what: &str) -> ! {
        let waiting = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.what = Some(what.to_owned());
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
        match std::future::pending::<std::convert::Infallible>().await {}
    }

    /// Whether it has been said.
    pub(crate) fn is_declared(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).what.is_some()
    }

    /// Waits until it is said.
    pub(crate) async fn declared(self) -> String {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &state.what {
                Some(what) => Poll::Ready(what.clone()),
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
