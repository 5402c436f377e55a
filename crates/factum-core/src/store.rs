//! The waist: the one trait that everything above is written against, and every store implements.
//!
//! Its semantics are those of the conformance suite in `factum-testkit`; a store passes it for all
//! that its [`Capabilities`] declare.

mod any;

pub use any::{AnyStore, DynBatches};

/// The batches of a read on the calling thread.
pub type HereBatches = Box<dyn Iterator<Item = Result<Batch, ReadError>> + Send>;

use crate::{
    Append, AppendError, Batch, Capabilities, Change, Expected, Position, Read, ReadError, Reading,
    Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
};
use futures_core::Stream;

/// An event store.
///
/// Futures are cancel-safe in this sense: one never polled did nothing; one polled and dropped may
/// have been done ([`AppendError::Unknown`] to its caller). Retry with the same ids.
///
/// ```
/// use factum_core::{
///     Append, EventData, EventStore, EventType, MemoryStore, Read, StreamName, Uuid,
/// };
/// # let run = async {
/// let store = MemoryStore::new();
/// let order = StreamName::new("order-1")?;
/// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
/// let receipt = store.append(Append::to(order.clone(), [placed])).await?;
/// let events = store.read(Read::stream(order)).await?.events().await?;
/// assert_eq!(events[0].position(), receipt.position);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # };
/// # use std::task::{Context, Poll, Waker};
/// # let poll = std::pin::pin!(run).as_mut().poll(&mut Context::from_waker(Waker::noop()));
/// # assert!(matches!(poll, Poll::Ready(Ok(()))));
/// ```
pub trait EventStore: Send + Sync + 'static {
    /// The batches of a read or a subscription: pulled, at most one is read ahead.
    type Batches: Stream<Item = Result<Batch, ReadError>> + Send + Unpin + 'static;

    /// What the store can do.
    fn capabilities(&self) -> &Capabilities;

    /// Appends all or nothing. Judged in this order: valid, replay, tombstone, checks, tracking.
    fn append(&self, append: Append) -> impl Future<Output = Result<Receipt, AppendError>> + Send;

    /// Reads from one snapshot, whose head comes first.
    fn read(
        &self,
        read: Read,
    ) -> impl Future<Output = Result<Reading<Self::Batches>, ReadError>> + Send;

    /// Reads on the calling thread, for a caller that blocks anyway: nothing is handed to another
    /// thread, and nothing is read ahead. Not for async code.
    ///
    /// `None` where the store has no such way, or would have to wait for a position first:
    /// [`EventStore::read`] is the way then.
    fn read_here(&self, _read: &Read) -> Option<Result<Reading<HereBatches>, ReadError>> {
        None
    }

    /// Follows: what is stored, then what comes, in order, at least once, without end.
    fn subscribe(
        &self,
        subscribe: Subscribe,
    ) -> impl Future<Output = Result<Self::Batches, ReadError>> + Send;

    /// The position of the last event; [`Position::START`] if there is none.
    fn head(&self) -> impl Future<Output = Result<Position, ReadError>> + Send;

    /// The metadata of a stream, empty where none was set.
    fn metadata(
        &self,
        stream: &StreamName,
    ) -> impl Future<Output = Result<StreamMetadata, ReadError>> + Send;

    /// Deletes, tombstones, or sets the metadata of a stream. `None` expects nothing.
    fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> impl Future<Output = Result<Receipt, AppendError>> + Send;

    /// The tracked position of a source.
    fn tracked(&self, source: &str) -> impl Future<Output = Result<Option<u64>, ReadError>> + Send;

    /// Numbers about the store.
    fn statistics(&self) -> impl Future<Output = Result<Statistics, ReadError>> + Send;
}
