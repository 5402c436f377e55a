//! How consumers hang on an app: registered at its builder, begun by `start`, ended with it.

use super::{
    ConsumerHandle, ConsumerStatus, Handler, RunState, Spec, Stop, run,
    seat::{Seat, Shared},
};
use crate::{App, AppBuilder, describe::Kind, lease::Leases, projection::TargetError};
use factum_core::{InvalidName, ReadError};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::watch;

/// Why an app did not start. Nothing runs.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Two consumers have one name and version. Rename one.
    #[error("two consumers are called {name:?} (version {version}): rename one")]
    Twice {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// Two receivers, or two who answer commands, have one name. Rename one.
    #[error("two receivers are called {name:?}: rename one")]
    ReceiversTwice {
        /// The name.
        name: String,
    },
    /// What a consumer is to follow has no name: of an event, a category or a tag. Correct it.
    #[error("consumer {name:?}: {source}")]
    Name {
        /// Which consumer.
        name: String,
        /// What is wrong.
        source: InvalidName,
    },
    /// A projection cannot be inline: its rows do not lie beside the events. Register it with
    /// `projection`, or give the app a target that does.
    #[error("projection {name:?}: {source}")]
    Inline {
        /// Which projection.
        name: String,
        /// What the target says.
        source: TargetError,
    },
}

type Begin = Box<dyn FnOnce(&App, Seat) + Send>;

/// A consumer that was registered.
pub(crate) struct Planned {
    spec: Result<Spec, StartError>,
    begin: Begin,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

/// The consumers of an app, once it has started.
#[derive(Debug, Default)]
pub(crate) struct Consumers(OnceLock<Vec<Arc<Shared>>>);

/// Held by every [`App`] but those that consumers were given: with the last one, they end.
#[derive(Debug)]
pub(crate) struct Running(watch::Sender<bool>);

impl Running {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    fn stop(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl AppBuilder {
    /// Registers a consumer. `make` is given the app, which it may keep: that does not keep the app
    /// alive.
    pub fn consume<H: Handler>(
        mut self,
        spec: Spec,
        make: impl FnOnce(&App) -> H + Send + 'static,
    ) -> Self {
        self.registered.follow::<H::Event>(&spec.name, spec.version, Kind::Handler);
        self.plan(Ok(spec), make)
    }

    /// The same, where the name of an event may be none.
    pub(crate) fn plan<H: Handler>(
        mut self,
        spec: Result<Spec, StartError>,
        make: impl FnOnce(&App) -> H + Send + 'static,
    ) -> Self {
        let begin = move |app: &App, mut seat: Seat| {
            let handler = make(app);
            seat.leases = seat.leases.take().filter(|_| handler.is_shared());
            app.world().spawn(Box::pin(run::run(handler, seat)));
        };
        self.consumers.push(Planned { spec, begin: Box::new(begin) });
        self
    }

    /// As one of several instances over one store: each consumer, and each part of one, runs in one
    /// of them, and when that is gone for so long in another. Needs a store with tracked positions.
    /// Rows in this process's own memory are kept by each instance.
    pub fn shared(mut self, takeover: Duration) -> Self {
        self.shared = Some(takeover);
        self
    }

    /// The app, with its consumers running. They end with [`App::stop`], or when the last clone of
    /// the app is gone.
    ///
    /// # Errors
    ///
    /// What was registered does not fit together.
    ///
    /// # Panics
    ///
    /// As [`AppBuilder::build`]; and outside of a Tokio runtime, where the world is Tokio's.
    #[allow(clippy::unused_async, reason = "so that starting may wait one day")]
    pub async fn start(mut self) -> Result<App, StartError> {
        let planned = std::mem::take(&mut self.consumers);
        let mut known = HashSet::new();
        let mut seats = Vec::new();
        for Planned { spec, begin } in planned {
            let spec = spec?;
            if !known.insert((spec.name.clone(), spec.version)) {
                return Err(StartError::Twice { name: spec.name, version: spec.version });
            }
            seats.push((Arc::new(Shared::new(spec)), begin));
        }
        let receivers = self.receivers.iter().map(|one| (one.name(), one.check()));
        each_once(receivers)?;
        each_once(self.answerers.iter().map(|one| (one.name(), one.check())))?;
        let shared = self.shared;
        let app = self.assemble();
        app.views().begin_inline()?;
        let leases =
            shared.map(|takeover| Leases::new(app.store().clone(), app.world().clone(), takeover));
        let all = seats.iter().map(|(shared, _)| shared.clone()).collect();
        app.registry().0.set(all).expect("a new app has not started yet");
        let inner = app.detached();
        for (shared, begin) in seats {
            let (store, world) = (app.store().clone(), app.world().clone());
            let stop = app.running().expect("a built app is held by its user").stop();
            let (leases, keys) = (leases.clone(), app.shared_keys());
            begin(&inner, Seat { shared, store, world, keys, stop, leases });
        }
        for receiver in app.receivers() {
            let stop = app.running().expect("a built app is held by its user").stop();
            app.world().spawn(Box::pin(receiver.clone().run(inner.clone(), stop)));
        }
        for answerer in app.answerers() {
            let stop = app.running().expect("a built app is held by its user").stop();
            app.world().spawn(Box::pin(answerer.clone().run(inner.clone(), stop)));
        }
        Ok(app)
    }
}

/// That each has a name, and one of its own.
fn each_once<'a>(
    all: impl Iterator<Item = (&'a str, Result<(), InvalidName>)>,
) -> Result<(), StartError> {
    let mut names = HashSet::new();
    for (name, check) in all {
        check.map_err(|source| StartError::Name { name: name.to_owned(), source })?;
        if !names.insert(name) {
            return Err(StartError::ReceiversTwice { name: name.to_owned() });
        }
    }
    Ok(())
}

impl App {
    /// Its consumers.
    #[must_use]
    pub fn consumer_handles(&self) -> Vec<ConsumerHandle> {
        let (store, world) = (self.store(), self.world());
        let all = self.registry().0.get().into_iter().flatten();
        all.map(|shared| ConsumerHandle {
            shared: shared.clone(),
            store: store.clone(),
            world: world.clone(),
        })
        .collect()
    }

    /// The consumer with this name, of the newest version that is registered.
    #[must_use]
    pub fn consumer(&self, name: &str) -> Option<ConsumerHandle> {
        let all = self.consumer_handles().into_iter().filter(|one| one.spec().name == name);
        all.max_by_key(|one| one.spec().version)
    }

    /// The consumer with this name and version.
    pub(crate) fn consumer_of(&self, name: &str, version: u32) -> Option<ConsumerHandle> {
        let mut all = self.consumer_handles().into_iter();
        all.find(|one| one.spec().name == name && one.spec().version == version)
    }

    /// What is known about each consumer that is not idle, slowest first.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    pub async fn consumers(&self) -> Result<Vec<ConsumerStatus>, ReadError> {
        let mut all = Vec::new();
        for consumer in self.consumer_handles() {
            if consumer.progress().borrow().state == RunState::Idle {
                continue;
            }
            all.push(consumer.status().await?);
        }
        all.sort_by_key(|one| std::cmp::Reverse((one.lag.time, one.lag.events)));
        Ok(all)
    }

    /// Ends its consumers, and waits until they have ended. What they had handled is committed, or
    /// handled again after the next start.
    pub async fn stop(&self) {
        if let Some(Running(stop)) = self.running() {
            stop.send_replace(true);
            stop.closed().await;
        }
    }
}
