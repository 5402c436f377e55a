//! Why something that runs is to end: it was told to, or a watcher says so.

use super::CdcError;
use std::time::Duration;
use tokio::sync::watch;

/// What is known about ending.
#[derive(Clone, Debug, Default)]
pub(crate) enum Halt {
    #[default]
    No,
    /// Whoever started it wants it to end.
    Told,
    /// It must not go on.
    Because(CdcError),
}

/// The side that listens.
#[derive(Clone, Debug)]
pub(crate) struct Halted(watch::Receiver<Halt>);

/// The side that tells, which ends what listens when all of it is gone.
pub(crate) type Halting = watch::Sender<Halt>;

pub(crate) fn channel() -> (Halting, Halted) {
    let (halting, halted) = watch::channel(Halt::No);
    (halting, Halted(halted))
}

impl Halted {
    /// Whether it is to end.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(*self.0.borrow(), Halt::No) || self.0.has_changed().is_err()
    }

    /// Why, where nobody told it to.
    pub(crate) fn why(&self) -> Option<CdcError> {
        match &*self.0.borrow() {
            Halt::Because(error) => Some(error.clone()),
            Halt::No | Halt::Told => None,
        }
    }

    /// Resolves when it is to end.
    pub(crate) async fn on(&mut self) {
        // Where nobody can tell any more, it is to end too.
        let _ = self.0.wait_for(|halt| !matches!(halt, Halt::No)).await;
    }

    /// Waits, but not longer than until it is to end.
    pub(crate) async fn rest(&mut self, pause: Duration) {
        tokio::select! {
            () = self.on() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
