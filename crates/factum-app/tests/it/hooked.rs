//! A store that lets something happen beside a call, so that a test decides who comes between.

use factum_app::{AnyStore, EventStore, Position, StreamName, world::BoxFuture};
use factum_core::{
    Append, AppendError, Capabilities, Change, Expected, Read, ReadError, Reading, Receipt,
    Statistics, StreamMetadata, Subscribe, store::DynBatches,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

/// What happens beside the call of that number, from 1.
pub(crate) type Hook = Box<dyn Fn(u32) -> BoxFuture<'static, ()> + Send + Sync>;

/// The store under it, and the hooks. Clones share them.
#[derive(Clone)]
pub(crate) struct Hooked(Arc<Inner>);

struct Inner {
    store: AnyStore,
    reads: AtomicU32,
    appends: AtomicU32,
    after_read: Mutex<Option<Arc<Hook>>>,
    before_append: Mutex<Option<Arc<Hook>>>,
}

impl Hooked {
    pub(crate) fn new(store: AnyStore) -> Self {
        Self(Arc::new(Inner {
            store,
            reads: AtomicU32::new(0),
            appends: AtomicU32::new(0),
            after_read: Mutex::new(None),
            before_append: Mutex::new(None),
        }))
    }

    /// Counts reads from here on, and calls the hook after each has its snapshot.
    pub(crate) fn after_read(&self, hook: Hook) {
        self.0.reads.store(0, Ordering::SeqCst);
        *self.0.after_read.lock().unwrap() = Some(Arc::new(hook));
    }

    /// Counts appends from here on, and calls the hook before each.
    pub(crate) fn before_append(&self, hook: Hook) {
        self.0.appends.store(0, Ordering::SeqCst);
        *self.0.before_append.lock().unwrap() = Some(Arc::new(hook));
    }
}

async fn call(hook: &Mutex<Option<Arc<Hook>>>, count: &AtomicU32) {
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    let hook = hook.lock().unwrap().clone();
    if let Some(hook) = hook {
        hook(number).await;
    }
}

impl EventStore for Hooked {
    type Batches = DynBatches;

    fn capabilities(&self) -> &Capabilities {
        self.0.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        call(&self.0.before_append, &self.0.appends).await;
        self.0.store.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<DynBatches>, ReadError> {
        let reading = self.0.store.read(read).await;
        call(&self.0.after_read, &self.0.reads).await;
        reading
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<DynBatches, ReadError> {
        self.0.store.subscribe(subscribe).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.store.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.0.store.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.0.store.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.0.store.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.0.store.statistics().await
    }
}
