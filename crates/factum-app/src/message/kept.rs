//! What a broker has no place for: it takes such a message back before it says so, and so it comes
//! again at once. Remembered is that all was done with it that can be, so that it does not go
//! round for ever.
//!
//! What must hold: forgetting is harmless, it only lets a message come round once more.

use super::Delivered;
use bytes::Bytes;
use factum_core::Uuid;
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many are remembered, at most; with one more all are forgotten.
const KEPT_MAX: usize = 10_000;

/// Messages that were done with, and come again only because the broker could not put them aside.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashSet<Uuid>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, id: Uuid) {
        let mut ids = self.lock();
        if ids.len() >= KEPT_MAX {
            ids.clear();
        }
        ids.insert(id);
    }

    /// Whether it is one of these. It is forgotten then: should it not be settled after all, it
    /// comes round once more.
    pub(super) fn comes_again(&self, delivered: &Delivered) -> bool {
        let mut ids = self.lock();
        !ids.is_empty() && ids.remove(&id(&bytes(delivered)))
    }
}

/// A message as bytes, whether it is one or not.
pub(super) fn bytes(delivered: &Delivered) -> Bytes {
    match &delivered.message {
        Ok(message) => message.to_structured().into(),
        Err(malformed) => malformed.bytes.clone(),
    }
}

/// The same for the same bytes, however often they come.
pub(super) fn id(bytes: &[u8]) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes)
}
