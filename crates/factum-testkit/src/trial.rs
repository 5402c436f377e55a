//! What a case works with: a store under a referee's eyes, names that nobody else uses, patience.

mod feed;
mod refusal;
mod seen;

pub use feed::Feed;
pub use seen::Seen;

pub(crate) use refusal::Refusal;

use crate::{
    Case, Failure, Harness, Ids, Need, Settings,
    build::{self, mix},
    referee::Referee,
    run::{Run, patiently},
};
use factum_core::{
    AnyStore, Append, AppendError, Change, EventData, EventStore, EventType, Expected, Freshness,
    Limits, Position, Query, Read, ReadError, Receipt, RecordedEvent, Select, StreamMetadata,
    StreamName, StreamState, Subscribe, Tag, Timestamp,
    completion::{Completion, completion},
};
use futures_util::future::{Either, select};
use std::{error::Error, hash::Hasher, sync::Arc, thread};

/// One run of a case.
///
/// Streams, types, tags and sources get a prefix of the run's own, so that a store may be shared
/// with other cases, and kept from one run to the next.
pub struct Trial {
    store: Option<AnyStore>,
    harness: Arc<dyn Harness>,
    run: Run,
    settings: Settings,
    refusal: Refusal,
    prefix: String,
    ids: Ids,
}

impl Trial {
    pub(crate) async fn open(
        case: &Case,
        harness: Arc<dyn Harness>,
        run: Run,
        settings: Settings,
        refusal: Refusal,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(case.name.as_bytes());
        let seed = mix(settings.seed ^ hasher.finish());
        let mut trial = Self {
            store: None,
            harness,
            run,
            settings,
            refusal,
            prefix: format!("t{:08x}.", seed >> 32),
            ids: Ids::seeded(seed),
        };
        trial.watch(trial.harness.clone().open().await?);
        Ok(trial)
    }

    fn watch(&mut self, store: AnyStore) {
        self.store = Some(AnyStore::new(Referee::new(store, self.refusal.clone())));
    }

    /// Closes the store and opens it again. Feeds and clones of the store must be gone.
    pub async fn reopen(&mut self) -> Result<(), Failure> {
        self.store = None;
        let opened = self.harness.reopen().await;
        self.watch(opened.map_err(|error| Failure::new(format!("reopening: {error}")))?);
        Ok(())
    }

    /// The store, as its users see it.
    ///
    /// # Panics
    /// If reopening it failed before.
    #[must_use]
    pub fn store(&self) -> &AnyStore {
        self.store.as_ref().expect("a case ends where reopening fails")
    }

    /// The store's limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.store().capabilities().limits
    }

    /// Whether the harness can do this.
    #[must_use]
    pub fn can(&self, need: Need) -> bool {
        self.harness.can(need)
    }

    /// Sets the store's clock; nothing happens where that cannot be done.
    pub fn set_clock(&self, now: Timestamp) {
        if self.can(Need::Clock) {
            self.harness.set_clock(now);
        }
    }

    /// A name of this run's own.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A stream of this run's own.
    ///
    /// # Panics
    /// If the name is not valid.
    #[must_use]
    pub fn stream(&self, name: &str) -> StreamName {
        StreamName::new(&self.name(name)).expect("a case names a valid stream")
    }

    /// An event type of this run's own.
    ///
    /// # Panics
    /// If the name is not valid.
    #[must_use]
    pub fn event_type(&self, name: &str) -> EventType {
        EventType::new(&self.name(name)).expect("a case names a valid type")
    }

    /// A tag of this run's own.
    ///
    /// # Panics
    /// If it is not valid.
    #[must_use]
    pub fn tag(&self, name: &str) -> Tag {
        Tag::new(&self.name(name)).expect("a case names a valid tag")
    }

    /// A new event of a type of this run's own.
    #[must_use]
    pub fn event(&self, event_type: &str) -> EventData {
        EventData::new(self.ids.next(), self.event_type(event_type), "{}")
    }

    /// A new event with tags of this run's own.
    #[must_use]
    pub fn tagged(&self, event_type: &str, tags: &[&str]) -> EventData {
        self.event(event_type).with_tags(tags.iter().map(|tag| self.tag(tag)))
    }

    /// New events, as many as asked for, of one type.
    #[must_use]
    pub fn events(&self, count: usize) -> Vec<EventData> {
        (0..count).map(|_| self.event("happened")).collect()
    }

    /// Appends.
    pub async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.store().append(append).await
    }

    /// Appends so many new events to a stream, without a check.
    pub async fn put(&self, stream: &StreamName, count: usize) -> Result<Receipt, AppendError> {
        self.append(build::to(stream, self.events(count))).await
    }

    /// Changes a stream, expecting nothing.
    pub async fn change(
        &self,
        stream: &StreamName,
        change: Change,
    ) -> Result<Receipt, AppendError> {
        self.store().change(stream, change, None).await
    }

    /// Changes a stream that is expected to be like this.
    pub async fn change_if(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Expected,
    ) -> Result<Receipt, AppendError> {
        self.store().change(stream, change, Some(expected)).await
    }

    /// Sets a stream's metadata from JSON.
    pub async fn set_metadata(
        &self,
        stream: &StreamName,
        json: &str,
    ) -> Result<Receipt, AppendError> {
        let metadata = StreamMetadata::from_json(json.as_bytes())?;
        self.change(stream, Change::SetMetadata(metadata)).await
    }

    /// Reads to the end, seeing all that was acknowledged before.
    pub async fn read(&self, read: Read) -> Result<Seen, ReadError> {
        let read = Read { freshness: Freshness::Current, ..read };
        Seen::gather(self.store().read(read).await?).await
    }

    /// The visible events of a stream.
    pub async fn of(&self, stream: &StreamName) -> Result<Vec<RecordedEvent>, ReadError> {
        Ok(self.read(Read::stream(stream.clone())).await?.events)
    }

    /// What a stream is.
    pub async fn state(&self, stream: &StreamName) -> Result<StreamState, Failure> {
        let read = Read { limit: Some(0), ..Read::stream(stream.clone()) };
        let state = self.read(read).await?.state;
        state.ok_or_else(|| Failure::new("a read of a stream told no state"))
    }

    /// The position of the last event.
    pub async fn head(&self) -> Result<Position, ReadError> {
        let read = Read { limit: Some(0), ..Read::query(Query::All) };
        Ok(self.read(read).await?.head)
    }

    /// This run's events after a position, in the order of the whole store.
    pub async fn since(&self, after: Position) -> Result<Vec<RecordedEvent>, ReadError> {
        let read = Read { from: Some(after.0), ..Read::query(Query::All) };
        let mut events = self.read(read).await?.events;
        events.retain(|event| event.position() > after && self.is_own(event.stream()));
        Ok(events)
    }

    /// Whether the stream, or the one whose metadata it holds, is this run's own.
    #[must_use]
    pub fn is_own(&self, stream: &StreamName) -> bool {
        stream.as_str().trim_start_matches('$').starts_with(&self.prefix)
    }

    /// Panics if this run has written anything after a position.
    pub async fn nothing_since(&self, after: Position) -> Result<(), ReadError> {
        crate::same("events written", self.since(after).await?, Vec::new());
        if self.can(Need::Fresh) {
            crate::same("the head, as nothing was written", self.head().await?, after);
        }
        Ok(())
    }

    /// Follows a selection, after a revision or a position.
    pub async fn follow(&self, select: Select, after: Option<u64>) -> Result<Feed, ReadError> {
        let batches = self.store().subscribe(Subscribe { select, after }).await?;
        Ok(Feed::new(batches, self.settings.patience))
    }

    /// Waits for what must come; fails when patience is at its end.
    pub async fn patiently<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        patiently(self.settings.patience, what, future).await
    }

    /// Starts a future on a thread of its own.
    ///
    /// # Panics
    /// If the machine cannot start a thread.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Job<T> {
        let (filler, value) = completion();
        let (run, refusal) = (self.run, self.refusal.clone());
        let body = async move {
            let declared = Box::pin(refusal.declared());
            if let Either::Left((value, _)) = select(Box::pin(future), declared).await {
                filler.fill(value);
            }
        };
        thread::spawn(move || run(Box::pin(body)));
        Job { value, refusal: self.refusal.clone() }
    }
}

/// A future that runs on a thread of its own.
pub struct Job<T> {
    value: Completion<T>,
    refusal: Refusal,
}

impl<T> Job<T> {
    /// Waits for its end.
    pub async fn join(self) -> Result<T, Failure> {
        if let Some(value) = self.value.await {
            return Ok(value);
        }
        if self.refusal.is_declared() {
            // The case ends here, as its thread did.
            std::future::pending::<()>().await;
        }
        Err(Failure::new("a thread of the case panicked, as said above"))
    }
}
