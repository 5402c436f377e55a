//! Where the commands of a running process come back to.

use super::desk::Key;
use crate::decision::{DispatchError, Reply};
use factum_core::Uuid;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// A command that is back.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) key: Key,
    pub(crate) id: Uuid,
    pub(crate) done: Result<Reply, DispatchError>,
}

/// A mailbox with a bell. Bounded by how many commands are on their way.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    landed: Mutex<Vec<Landed>>,
    bell: Notify,
}

impl Mailbox {
    pub(crate) fn put(&self, landed: Landed) {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).push(landed);
        self.bell.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<Landed> {
        std::mem::take(&mut *self.landed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when there is something.
    pub(crate) async fn rung(&self) {
        let empty = || self.landed.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        while empty() {
            self.bell.notified().await;
        }
    }
}
