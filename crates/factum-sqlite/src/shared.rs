//! What the writer, readers and whoever follows have in common.

use crate::{Inline, Options, names::Names, pool::Pool};
use factum_core::{Capabilities, Position};
use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    pub(crate) capabilities: Capabilities,
    pub(crate) readers: Arc<Pool>,
    pub(crate) names: Names,
    pub(crate) counters: Counters,
    /// Why appends are refused, once they are.
    pub(crate) stopped: OnceLock<Arc<str>>,
    /// The position of the last event, as far as the writer knows; the writer has the other side.
    head: watch::Receiver<u64>,
    /// Who waits for more, or will.
    followers: AtomicUsize,
    /// What else is to happen in the transaction of every append, each by a name.
    inlines: RwLock<Vec<(String, Arc<dyn Inline>)>>,
}

/// One who waits for more, or will: while there is one, what other processes write is looked for.
#[derive(Debug)]
pub(crate) struct Follows(Arc<Shared>);

impl Follows {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.followers.fetch_add(1, Ordering::Release);
        Self(shared.clone())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Follows {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Release);
    }
}

/// Numbers that only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) overloaded: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(
        options: Arc<Options>,
        readers: Arc<Pool>,
        head: watch::Receiver<u64>,
    ) -> Self {
        Self {
            capabilities: Capabilities { limits: options.limits, ..Capabilities::full() },
            names: Names::new(options.names_max),
            counters: Counters::default(),
            stopped: OnceLock::new(),
            options,
            readers,
            head,
            followers: AtomicUsize::new(0),
            inlines: RwLock::default(),
        }
    }

    /// From now on this happens in the transaction of every append, instead of what had its name.
    #[cfg(feature = "app")]
    pub(crate) fn add_inline(&self, name: String, inline: Arc<dyn Inline>) {
        let mut all = self.inlines.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(known, _)| *known != name);
        all.push((name, inline));
    }

    /// What is to happen in the transaction of every append.
    pub(crate) fn inlines(&self) -> Vec<Arc<dyn Inline>> {
        let own = self.options.inline.iter().cloned();
        let all = self.inlines.read().unwrap_or_else(PoisonError::into_inner);
        own.chain(all.iter().map(|(_, inline)| inline.clone())).collect()
    }

    /// Whether somebody waits for more, or will.
    pub(crate) fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Acquire) > 0
    }

    /// Waits until there is an event after this position; false where the store is closed first.
    pub(crate) async fn passes(&self, seen: u64) -> bool {
        self.head.clone().wait_for(|head| *head > seen).await.is_ok()
    }

    /// Waits until the store has this position; false where it is closed first.
    pub(crate) async fn reaches(&self, position: Position) -> bool {
        position == Position::START || self.passes(position.0 - 1).await
    }
}
