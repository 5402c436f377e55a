//! An app: a store, a world around it, and the decisions, views and processes over them.

use crate::{
    Ctx, Metadata,
    cache::Cache,
    consumer::{Consumers, Planned, Running},
    decision::{
        self, Boundary, Decision, Execute, ExecuteError, Gather, GatherError, LoadError, Loaded,
        Loader, ReadState, Receipt, Snapshot, State,
    },
    describe::Registered,
    message::{
        Receiver,
        commands::{Answerer, Ways},
    },
    observe::{Traces, meter::Meters, span},
    personal::{self, KeyError, KeyStore},
    projection::Views,
    world::{self, World},
};
use factum_core::{AnyStore, Append, AppendError, EventStore};
use std::{fmt::Display, sync::Arc, time::Duration};
use tracing::Instrument;

/// How many states of lately made decisions are kept, unless it is said otherwise.
pub const STATES_MAX: usize = 10_000;

/// An app. Clones share it.
///
/// ```
/// use factum_app::{App, Ctx, Decision, MemoryStore, Outcome, State, command, emit, event};
/// # use std::convert::Infallible;
///
/// #[event("lamp.switched")]
/// struct Switched { #[tag] lamp: u32, on: bool }
///
/// #[derive(Clone, Default)]
/// struct Lamp { on: bool }
/// impl State for Lamp {
///     type Event = Switched;
///     fn evolve(self, event: &Switched) -> Self { Lamp { on: event.on } }
/// }
///
/// #[command("lamp.toggle")]
/// struct Toggle { #[tag] lamp: u32 }
/// impl Decision for Toggle {
///     type State = Lamp;
///     type Refusal = Infallible;
///     fn decide(&self, lamp: &Lamp, _: &Ctx) -> Outcome<Self> {
///         emit(Switched { lamp: self.lamp, on: !lamp.on })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::new(MemoryStore::new());
/// app.execute(Toggle { lamp: 1 }).await?;
/// let receipt = app.execute(Toggle { lamp: 1 }).actor("ann").await?;
/// assert_eq!(receipt.position.0, 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>, Option<Arc<Running>>);

#[derive(Debug)]
struct Inner {
    store: AnyStore,
    world: Arc<dyn World>,
    cache: Cache,
    metadata: Metadata,
    keys: Option<Arc<dyn KeyStore>>,
    traces: Option<Arc<dyn Traces>>,
    meters: Meters,
    consumers: Consumers,
    receivers: Vec<Arc<Receiver>>,
    answerers: Vec<Arc<Answerer>>,
    ways: Ways,
    views: Views,
    registered: Registered,
}

/// What an app is made of.
#[derive(Debug)]
#[must_use = "an app is built by `build` or `start`"]
pub struct AppBuilder {
    store: AnyStore,
    world: Option<Arc<dyn World>>,
    states_max: usize,
    metadata: Metadata,
    keys: Option<Arc<dyn KeyStore>>,
    traces: Option<Arc<dyn Traces>>,
    pub(crate) consumers: Vec<Planned>,
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) answerers: Vec<Answerer>,
    pub(crate) ways: Ways,
    pub(crate) views: Views,
    pub(crate) shared: Option<Duration>,
    pub(crate) registered: Registered,
}

impl AppBuilder {
    /// The name of the service and its version, for the metadata of its events.
    pub fn service(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.metadata.service = Some(name.into());
        self.metadata.service_version = Some(version.into());
        self
    }

    pub(crate) fn known(&self) -> &Metadata {
        &self.metadata
    }

    /// Another clock, and other tasks, than those of the system.
    pub fn world(mut self, world: Arc<dyn World>) -> Self {
        self.world = Some(world);
        self
    }

    /// Where the keys of personal data are: see [`crate::personal`].
    #[cfg(feature = "personal")]
    pub fn personal(mut self, keys: Arc<dyn KeyStore>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Goes on with the distributed traces that commands and events come with, and begins them.
    pub fn traces(mut self, traces: impl Traces) -> Self {
        self.traces = Some(Arc::new(traces));
        self
    }

    /// How many states of lately made decisions are kept; 0 keeps none.
    pub fn states_max(mut self, states_max: usize) -> Self {
        self.states_max = states_max;
        self
    }

    /// The app, for who only decides.
    ///
    /// # Panics
    ///
    /// Built without the feature `tokio`, if it was given no world; and where it has consumers,
    /// which only [`AppBuilder::start`] runs.
    #[must_use]
    pub fn build(self) -> App {
        let is_idle =
            self.consumers.is_empty() && self.receivers.is_empty() && self.answerers.is_empty();
        assert!(is_idle, "an app with consumers is started: `start().await`");
        self.assemble()
    }

    /// The app, of which nothing runs yet.
    pub(crate) fn assemble(self) -> App {
        let inner = Inner {
            store: self.store,
            world: self.world.unwrap_or_else(usual_world),
            cache: Cache::new(self.states_max),
            metadata: self.metadata,
            keys: self.keys,
            traces: self.traces,
            meters: Meters::new(),
            consumers: Consumers::default(),
            receivers: self.receivers.into_iter().map(Arc::new).collect(),
            answerers: self.answerers.into_iter().map(Arc::new).collect(),
            ways: self.ways,
            views: self.views,
            registered: self.registered,
        };
        App(Arc::new(inner), Some(Arc::new(Running::new())))
    }
}

#[cfg(feature = "tokio")]
fn usual_world() -> Arc<dyn World> {
    Arc::new(crate::world::TokioWorld::default())
}

#[cfg(not(feature = "tokio"))]
fn usual_world() -> Arc<dyn World> {
    panic!("without the feature `tokio` an app must be given a world: `AppBuilder::world`")
}

impl App {
    /// One over a store, with what is usual.
    pub fn new(store: impl EventStore) -> Self {
        Self::builder(store).build()
    }

    /// One over a store, to be given more.
    pub fn builder(store: impl EventStore) -> AppBuilder {
        AppBuilder {
            store: AnyStore::new(store),
            world: None,
            states_max: STATES_MAX,
            metadata: Metadata::default(),
            keys: None,
            traces: None,
            consumers: Vec::new(),
            receivers: Vec::new(),
            answerers: Vec::new(),
            ways: Ways::default(),
            views: Views::default(),
            shared: None,
            registered: Registered::default(),
        }
    }

    /// The same app for what runs in it: it does not keep the app alive.
    pub(crate) fn detached(&self) -> Self {
        Self(self.0.clone(), None)
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        self.1.as_deref()
    }

    pub(crate) fn service_name(&self) -> Option<&str> {
        self.0.metadata.service.as_deref()
    }

    /// What all its events say of it.
    pub(crate) fn known(&self) -> &Metadata {
        &self.0.metadata
    }

    pub(crate) fn registered(&self) -> &Registered {
        &self.0.registered
    }

    pub(crate) fn views(&self) -> &Views {
        &self.0.views
    }

    pub(crate) fn receivers(&self) -> &[Arc<Receiver>] {
        &self.0.receivers
    }

    pub(crate) fn answerers(&self) -> &[Arc<Answerer>] {
        &self.0.answerers
    }

    pub(crate) fn ways(&self) -> &Ways {
        &self.0.ways
    }

    pub(crate) fn registry(&self) -> &Consumers {
        &self.0.consumers
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &AnyStore {
        &self.0.store
    }

    /// The world around it.
    #[must_use]
    pub fn world(&self) -> &Arc<dyn World> {
        &self.0.world
    }

    pub(crate) fn key_store(&self) -> Option<&dyn KeyStore> {
        self.0.keys.as_deref()
    }

    pub(crate) fn tracing(&self) -> Option<&dyn Traces> {
        self.0.traces.as_deref()
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    pub(crate) fn shared_keys(&self) -> Option<Arc<dyn KeyStore>> {
        self.0.keys.clone()
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Does a command when it is awaited: `app.execute(command).key("k").actor("ann").await?`
    pub fn execute<D: Decision>(&self, command: D) -> Execute<'_, D> {
        Execute::new(self, command)
    }

    /// Asks others first, and then does the command that comes of it.
    ///
    /// # Errors
    ///
    /// As the gathering, and as [`App::execute`].
    pub async fn gather<Ask: Send, G: Gather<Ask>>(
        &self,
        gather: &G,
        ask: Ask,
    ) -> Result<Receipt, GatherError<G::Error, <G::Decision as Decision>::Refusal>>
    where
        ExecuteError<<G::Decision as Decision>::Refusal>: Send,
    {
        let command = gather.gather(ask).await.map_err(GatherError::Gather)?;
        self.execute(command).await.map_err(GatherError::Execute)
    }

    /// A state as it is now, with all facts of a boundary.
    ///
    /// # Errors
    ///
    /// The store does not answer, or a fact cannot be read.
    pub async fn load<S: State>(&self, boundary: &Boundary) -> Result<Arc<Loaded<S>>, LoadError> {
        let mut loader = Loader::new(self);
        let loaded = loader.load(boundary).await?;
        self.take(loader.due());
        Ok(loaded)
    }

    /// The state of one thing when it is awaited, now or as of a moment:
    /// `app.state::<Account>(7).as_of(march_15).await?`
    pub fn state<S: State>(&self, id: impl Display) -> ReadState<'_, S> {
        ReadState::new(self, &id)
    }

    /// The same of everything in a boundary.
    pub fn state_within<S: State>(&self, boundary: Boundary) -> ReadState<'_, S> {
        ReadState::within(self, Ok(boundary))
    }

    /// Writes snapshots beside everything else.
    pub(crate) fn take(&self, snapshots: Vec<Snapshot>) {
        for snapshot in snapshots {
            let (store, id) = (self.0.store.clone(), self.context(&Metadata::default()).id());
            self.0.world.spawn(Box::pin(async move {
                decision::write_snapshot(&store, id, snapshot).await;
            }));
        }
    }

    /// The context of a command with this known about it.
    pub(crate) fn context(&self, metadata: &Metadata) -> Ctx {
        let ctx = Ctx::new(self.0.world.now(), self.0.world.random());
        // The command's own id: what has no cause before it is caused by the command.
        let id = ctx.id();
        let own = &self.0.metadata;
        let metadata = Metadata {
            correlation: metadata.correlation.or(Some(id)),
            causation: metadata.causation.or(Some(id)),
            service: own.service.clone().or_else(|| metadata.service.clone()),
            service_version: own
                .service_version
                .clone()
                .or_else(|| metadata.service_version.clone()),
            ..metadata.clone()
        };
        ctx.with_metadata(metadata)
    }

    /// Waits between two attempts: up to twice as long each time, and not as long as others do.
    pub(crate) async fn pause(&self, attempt: u32, first: Duration, longest: Duration) {
        world::pause(&*self.0.world, attempt, first, longest).await;
    }

    /// Appends, and sends the same append again where its outcome is unknown or the store is busy.
    pub(crate) async fn send(
        &self,
        append: Append,
        sends_max: u32,
    ) -> Result<factum_core::Receipt, AppendError> {
        let span = span::append(&append);
        let (done, sent) = self.send_until(append, sends_max).instrument(span.clone()).await;
        self.0.meters.append_retries.increment(u64::from(sent - 1));
        span.record("attempts", sent);
        match &done {
            Ok(receipt) => {
                span.record("position", receipt.position.0);
                span::end(&span, if receipt.replayed { "replayed" } else { "done" });
            }
            // Whether that is a failure is for who decides on it.
            Err(AppendError::Conflict { .. }) => span::end(&span, "conflict"),
            Err(error) => span::failed(&span, "failed", error),
        }
        done
    }

    /// Answers how often it was sent, too: at least 1.
    async fn send_until(
        &self,
        mut append: Append,
        sends_max: u32,
    ) -> (Result<factum_core::Receipt, AppendError>, u32) {
        let mut sent = 1;
        loop {
            let error = match self.send_once(&mut append).await {
                Err(error) if error.is_retryable() && sent < sends_max => error,
                done => return (done, sent),
            };
            tracing::debug!(target: "factum", sent, error = %error, "append is sent again");
            self.pause(sent, Duration::from_millis(5), Duration::from_secs(2)).await;
            sent += 1;
        }
    }

    async fn send_once(&self, append: &mut Append) -> Result<factum_core::Receipt, AppendError> {
        match personal::seal(append, self.key_store()).await {
            Ok(()) => self.0.store.append(append.clone()).await,
            Err(error @ KeyError::Away { .. }) => {
                Err(AppendError::Unavailable { why: error.to_string().into() })
            }
            Err(other) => Err(AppendError::Unsupported { what: other.to_string().into() }),
        }
    }
}
