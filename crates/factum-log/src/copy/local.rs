//! An open store as a source.

use super::{Held, Inventory, Length, PIECE_BYTES_MAX, Source, SourceError};
use crate::{
    Reader,
    error::Fault,
    segment::{Segment, segment_path},
};
use std::{
    future::poll_fn,
    ops::Range,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::Duration,
};

/// How long it is waited for news of a store in this process, at most.
const WAIT_TIME_MAX: Duration = Duration::from_millis(500);

impl Reader {
    /// How long the log is.
    #[must_use]
    pub fn length(&self) -> Length {
        let segments = self.shared.segments();
        let newest = segments.last().expect("there is always a segment");
        Length { base: newest.base(), end: newest.end() }
    }

    /// Waits until the log is longer than that, or the store is closed.
    pub async fn grows(&self, seen: Length) {
        let waiter = self.waiter();
        poll_fn(|context| {
            let head = self.head();
            // Some appends have no event, and do not move the head: it is looked at again once
            // whoever publishes knows of this one.
            let waits = self.length() == seen && waiter.wait_past(head, context.waker());
            if waits && self.length() == seen { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Source for Reader {
    fn folder(&self) -> Option<PathBuf> {
        Some(self.shared.dir.clone())
    }

    fn name(&self, of: &Held) -> PathBuf {
        segment_path(&self.shared.dir, of.base)
    }

    /// Fails where the store is damaged: a copy of it would pass for whole.
    fn inventory(&self) -> Result<Inventory, SourceError> {
        let segments = self.shared.segments();
        if let Some((segment, missing)) =
            segments.iter().find_map(|segment| Some((segment, segment.missing.first()?)))
        {
            return Err(segment.fault(missing.offset, missing.what).into());
        }
        // The head first: what is held then goes as far at least.
        let head = self.head();
        let newest = segments.last().expect("there is always a segment");
        let held = |segment: &Arc<Segment>| Held {
            base: segment.base(),
            seed: segment.header.seed,
            origin: segment.header.origin,
            end: segment.end(),
            is_sealed: segment.base() != newest.base(),
        };
        let store = newest.header.store;
        Ok(Inventory { store, head, segments: segments.iter().map(held).collect() })
    }

    fn news(&self, seen: Length, from: u64) -> Result<Inventory, SourceError> {
        let mut grows = pin!(self.grows(seen));
        let waker = Arc::new(Unpark(thread::current())).into();
        if grows.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            thread::park_timeout(WAIT_TIME_MAX);
        }
        let mut inventory = self.inventory()?;
        inventory.segments.retain(|held| held.base >= from);
        Ok(inventory)
    }

    fn piece(&self, of: &Held, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let segments = self.shared.segments();
        let nth = segments.partition_point(|segment| segment.base() < of.base);
        let segment = segments.get(nth).filter(|one| one.header.seed == of.seed);
        let segment = segment.ok_or(SourceError::Replaced { base: of.base })?;
        let end = range.end.min(segment.end()).min(range.start.saturating_add(PIECE_BYTES_MAX));
        let len = end.saturating_sub(range.start);
        if len == 0 {
            return Err(SourceError::Replaced { base: of.base });
        }
        let mut bytes = vec![0; usize::try_from(len).expect("a piece is small")];
        let read = segment.file.read_at(&mut bytes, range.start);
        read.map_err(Fault::io("read", &segment.path))?;
        Ok(bytes)
    }
}
