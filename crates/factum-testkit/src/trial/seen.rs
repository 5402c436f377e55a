//! All of a read's answer, gathered.

use factum_core::{Batch, Position, ReadError, Reading, RecordedEvent, StreamState, next_batch};

/// What a read answered.
#[derive(Debug)]
pub struct Seen {
    /// The store's head in the snapshot.
    pub head: Position,
    /// What the stream is in the snapshot.
    pub state: Option<StreamState>,
    /// All events.
    pub events: Vec<RecordedEvent>,
    /// Up to where the last batch says that everything was delivered.
    pub through: Option<Position>,
    /// In how many batches with an event the events came.
    pub batches: usize,
}

impl Seen {
    pub(super) async fn gather<B>(reading: Reading<B>) -> Result<Self, ReadError>
    where
        B: futures_util::Stream<Item = Result<Batch, ReadError>> + Unpin,
    {
        let Reading { head, state, mut batches } = reading;
        let mut seen = Self { head, state, events: Vec::new(), through: None, batches: 0 };
        while let Some(batch) = next_batch(&mut batches).await {
            let batch = batch?;
            seen.batches += usize::from(!batch.events.is_empty());
            seen.through = Some(batch.through);
            seen.events.extend(batch.events);
        }
        Ok(seen)
    }
}
