//! The side of a running consumer that its app holds on to: what it shall do, and what it does.

use super::{Either, Progress, RunState, Spec, race};
use crate::{
    lease::Leases,
    observe::meter::ConsumerMeter,
    personal::KeyStore,
    world::{World, half_pause},
};
use factum_core::{AnyStore, Position};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// The longest first pause where the store or the target is away; each further one may be twice as
/// long.
const AWAY_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const AWAY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a consumer shall do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Want {
    /// Nothing, for now.
    pub(crate) paused: bool,
    /// Counts what made it begin again: resumes and resets.
    pub(crate) again: u64,
}

/// What an app and a consumer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) spec: Spec,
    pub(crate) want: watch::Sender<Want>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) meter: ConsumerMeter,
}

impl Shared {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            meter: ConsumerMeter::new(&spec),
            spec,
            want: watch::Sender::new(Want::default()),
            progress: watch::Sender::new(Progress::default()),
        }
    }
}

/// Resolves when the app ends: `app.stop()` was called, or the last `App` is gone.
#[derive(Clone, Debug)]
pub struct Stop(pub(crate) watch::Receiver<bool>);

impl Stop {
    /// Waits for it.
    pub async fn asked(&self) {
        // An error is a sender that is gone, and so the app.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Whether it has come.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Where a consumer sits while it runs.
pub(crate) struct Seat {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: AnyStore,
    pub(crate) world: Arc<dyn World>,
    pub(crate) keys: Option<Arc<dyn KeyStore>>,
    pub(crate) stop: Stop,
    /// Where several instances of the app share its consumers.
    pub(crate) leases: Option<Leases>,
}

/// Why a consumer shall leave what it is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interrupt {
    /// The app ends.
    Stop,
    /// It is paused, or shall begin again.
    Turn,
}

impl Seat {
    /// Waits until the consumer shall leave what it is at.
    pub(crate) async fn interrupted(&self, since: Want) -> Interrupt {
        let mut want = self.shared.want.subscribe();
        let changed = async move {
            let _ = want.wait_for(|want| *want != since).await;
        };
        match race(self.stop.asked(), changed).await {
            Either::First(()) => Interrupt::Stop,
            Either::Second(()) => Interrupt::Turn,
        }
    }

    pub(crate) fn want(&self) -> Want {
        *self.shared.want.borrow()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.shared.progress.send_modify(change);
    }

    pub(crate) fn enter(&self, state: RunState) {
        self.shared.progress.send_if_modified(|progress| {
            let changed = progress.state != state;
            progress.state = state;
            changed
        });
    }

    pub(crate) fn failed(&self, why: &str) {
        self.shared.meter.errors.increment(1);
        tracing::warn!(target: "factum", consumer = self.shared.spec.name, error = why, "failed");
        self.update(|progress| {
            progress.errors += 1;
            progress.last_error = Some(why.into());
        });
    }

    pub(crate) fn advance(&self, through: Position, caught_up: bool) {
        self.shared.progress.send_if_modified(|progress| {
            let changed = progress.through != through || progress.caught_up != caught_up;
            progress.through = through;
            progress.caught_up = caught_up;
            changed
        });
    }

    /// Waits between two attempts to reach what is away, or until interrupted.
    pub(crate) async fn pause_away(&self, attempt: u32, since: Want) -> Option<Interrupt> {
        self.pause(attempt, AWAY_PAUSE, since, AWAY_PAUSE_MAX).await
    }

    /// Waits between two attempts: half of a time that doubles, and a random part of the rest.
    pub(crate) async fn pause(
        &self,
        attempt: u32,
        first: Duration,
        since: Want,
        longest: Duration,
    ) -> Option<Interrupt> {
        let pause = half_pause(&*self.world, attempt, first, longest);
        match race(self.interrupted(since), self.world.sleep(pause)).await {
            Either::First(interrupt) => Some(interrupt),
            Either::Second(()) => None,
        }
    }
}

/// However the task ends, nobody is left waiting for it.
impl Drop for Seat {
    fn drop(&mut self) {
        self.enter(RunState::Ended);
    }
}
