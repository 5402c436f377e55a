//! What every inbox does.

use super::Made;
use crate::{Boxed, same};
use factum_app::message::Message;
use factum_core::Timestamp;

/// What a database's tests bring: one application with an inbox, and a balance that its handler
/// raises by one for a message that is new, in the same transaction.
pub trait InboxUnderTest: Send + Sync {
    /// Handles a message as a consumer, and undoes it all on demand; whether the message was new,
    /// `false` where it was undone.
    fn handle<'a>(
        &'a self,
        consumer: &'a str,
        message: &'a Message,
        undo: bool,
    ) -> Boxed<'a, Made<bool>>;

    /// The balance.
    fn balance(&self) -> Boxed<'_, Made<i64>>;

    /// Stops, and starts again.
    fn restart(&mut self) -> Boxed<'_, Made<()>>;

    /// Forgets what was handled before this, so many at most; how many were forgotten.
    fn forget(&self, before: Timestamp, rows_max: u32) -> Boxed<'_, Made<u64>>;
}

/// A message has its effect once for each consumer, one whose transaction was undone when it comes
/// again; that is known over a restart, and forgotten by age.
///
/// # Errors
///
/// The harness's.
///
/// # Panics
/// If it is not so.
pub async fn inbox(mut on: impl InboxUnderTest) -> Made<()> {
    let message = Message::new("1", "/payments", "payment.received");
    same("undone", on.handle("a", &message, true).await?, false);
    same("so nothing came of it", on.balance().await?, 0);
    same("first", on.handle("a", &message, false).await?, true);
    same("again", on.handle("a", &message, false).await?, false);
    same("by another consumer", on.handle("b", &message, false).await?, true);
    let other = Message { source: "/other".into(), ..message.clone() };
    same("of another source", on.handle("a", &other, false).await?, true);
    same("each effect once", on.balance().await?, 3);
    on.restart().await?;
    same("after a restart", on.handle("a", &message, false).await?, false);
    same("too young", on.forget(Timestamp(1), 9).await?, 0);
    same("some", on.forget(Timestamp(i64::MAX), 2).await?, 2);
    same("the rest", on.forget(Timestamp(i64::MAX), 2).await?, 1);
    same("forgotten", on.handle("a", &message, false).await?, true);
    same("the effect of that", on.balance().await?, 4);
    Ok(())
}
