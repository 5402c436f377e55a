//! An app without `async`, for programs that have no runtime, for tests and for scripts.

use std::{future::IntoFuture, io, ops::Deref};
use tokio::runtime::{Builder, Runtime};

/// An app with a runtime of its own, on one thread beside the caller's. What runs in the app
/// (views, processes) goes on also while nobody waits.
///
/// Not to be used from inside of a runtime: it would stand still, and panics instead.
///
/// ```
/// use factum_app::{App, MemoryStore, State, blocking, event};
///
/// #[event("lamp.switched")]
/// struct Switched { #[tag] lamp: u32, on: bool }
/// #[derive(Clone, Default)]
/// struct Lamp { on: bool }
/// impl State for Lamp {
///     type Event = Switched;
///     fn evolve(self, event: &Switched) -> Self { Self { on: event.on } }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = blocking::App::start(async { App::new(MemoryStore::new()) })?;
/// assert!(!app.wait(app.state::<Lamp>(1))?.on);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct App {
    // Dropped before the runtime that it lives on.
    app: crate::App,
    runtime: Runtime,
}

impl App {
    /// Starts what the future makes; see [`App::try_start`] where it may fail.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(app: impl IntoFuture<Output = crate::App>) -> io::Result<Self> {
        let runtime = runtime()?;
        let app = runtime.block_on(app.into_future());
        Ok(Self { app, runtime })
    }

    /// Starts what the future makes, if it makes one.
    ///
    /// # Errors
    ///
    /// As the future, or the system gives no thread.
    pub fn try_start<E: From<io::Error>>(
        app: impl IntoFuture<Output = Result<crate::App, E>>,
    ) -> Result<Self, E> {
        let runtime = runtime()?;
        let app = runtime.block_on(app.into_future())?;
        Ok(Self { app, runtime })
    }

    /// Waits for something of the app: `app.wait(app.execute(command).key("k"))?`
    pub fn wait<F: IntoFuture>(&self, what: F) -> F::Output {
        self.runtime.block_on(what.into_future())
    }
}

/// Everything that the app has; what is a future is handed to [`App::wait`].
impl Deref for App {
    type Target = crate::App;

    fn deref(&self) -> &crate::App {
        &self.app
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
