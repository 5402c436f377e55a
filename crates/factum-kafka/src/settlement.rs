//! How one message that was handed out is settled.

use crate::{
    dead::DeadLetters,
    shelf::{Shelf, Ticket},
};
use factum_app::{
    message::{Settle, SettleError},
    world::BoxFuture,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// One message that was handed out; dropped, it is given back.
pub(crate) struct Settlement {
    pub(crate) ticket: Ticket,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) dead: Arc<DeadLetters>,
    pub(crate) within: Duration,
    open: bool,
}

impl Settlement {
    pub(crate) fn new(
        ticket: Ticket,
        shelf: Arc<Shelf>,
        dead: Arc<DeadLetters>,
        within: Duration,
    ) -> Self {
        Self { ticket, shelf, dead, within, open: true }
    }

    pub(crate) async fn settle(mut self) -> Result<(), SettleError> {
        self.open = false;
        let (known, told) = oneshot::channel();
        self.shelf.settle(&self.ticket, known);
        match timeout(self.within, told).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(lost(
                "its partition is no longer this instance's, or the connection \
                                    was lost",
            )),
            Err(_) => {
                self.shelf.give_back(&self.ticket, Duration::ZERO);
                Err(lost("the broker did not confirm the commit of its offset in time"))
            }
        }
    }

    /// The shelf knows already.
    pub(crate) fn done(mut self) {
        self.open = false;
    }

    pub(crate) fn give_back(mut self, after: Duration) -> Result<(), SettleError> {
        self.open = false;
        match self.shelf.give_back(&self.ticket, after) {
            true => Ok(()),
            false => Err(lost("its partition is no longer this instance's")),
        }
    }

    pub(crate) async fn put_aside(self, why: &str) -> Result<(), SettleError> {
        self.dead.put(&self.ticket, why).await?;
        self.settle().await
    }
}

fn lost(why: &str) -> SettleError {
    SettleError::Lost { why: why.to_owned() }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if self.open {
            self.shelf.give_back(&self.ticket, Duration::ZERO);
        }
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((topic, partition), offset) = (&self.ticket.place, self.ticket.pick.offset);
        write!(f, "Settlement({topic} {partition} {offset})")
    }
}

impl Settle for Settlement {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(self.settle())
    }

    fn send_back(self: Box<Self>, after: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.give_back(after) })
    }

    fn dead_letter(self: Box<Self>, why: String) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.put_aside(&why).await })
    }
}
