//! Bugs on purpose in the server, as those of the engine ([`factum_log::planted`] has no say here):
//! for the rows that run the real one to catch.
//!
//! For tests only: without the feature `planted` nothing of this is in the server.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "public for its tests only"))]

factum_core::planted_bugs! {
    /// An append is not answered before every subscriber was handed it.
    WaitForSubscribers,
    /// What is too much at once is not refused but waits, however much it is.
    QueueWithoutEnd,
    /// A refusal for want of room is told as an outcome that nobody knows.
    RefusalWithoutStatus,
    /// What an append that is refused had reserved is not given back.
    LeakReservation,
    /// Who has followed stays on the list.
    KeepSubscriber,
    /// Who asks for the head is told the one that was asked for before.
    StaleHead,
}

#[cfg(feature = "planted")]
pub(crate) use wrong::{append, head};

/// What is done wrong.
#[cfg(feature = "planted")]
mod wrong {
    use super::{Bug, is_on};
    use crate::{context::Context, gate::Permit};
    use factum_core::{Append, AppendError, EventStore, Position, Receipt};
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };
    use tokio::time::sleep;

    const PAUSE: Duration = Duration::from_millis(1);

    /// An append, as the bug that is on has it.
    pub(crate) async fn append(
        context: &Context,
        append: Append,
        room: Permit,
    ) -> Result<Receipt, AppendError> {
        let mut answer = context.store.append(append.clone()).await;
        if is_on(Bug::QueueWithoutEnd) {
            drop(room);
            while answer == Err(AppendError::Overloaded) {
                sleep(PAUSE).await;
                answer = context.store.append(append.clone()).await;
            }
            return answer;
        }
        match &answer {
            Ok(receipt) if is_on(Bug::WaitForSubscribers) => {
                while context.subscribers.are_behind(receipt.position) {
                    sleep(PAUSE).await;
                }
            }
            Err(AppendError::Overloaded) if is_on(Bug::RefusalWithoutStatus) => {
                return Err(AppendError::Unknown { why: "something".into() });
            }
            Err(_) if is_on(Bug::LeakReservation) => std::mem::forget(room),
            _ => {}
        }
        answer
    }

    /// The head to tell.
    pub(crate) fn head(head: Position) -> Position {
        static BEFORE: AtomicU64 = AtomicU64::new(0);
        let before = BEFORE.swap(head.0, Ordering::SeqCst);
        if is_on(Bug::StaleHead) { Position(before) } else { head }
    }
}
