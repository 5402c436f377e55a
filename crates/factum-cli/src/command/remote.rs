//! The bytes of a server's store, as the engine's copies want them.

use factum::{
    Position, Uuid,
    client::{
        CopiesClient, CopyError,
        copies::{InventoryRequest, ReadSegmentRequest, Segment},
    },
    log::copy::{Held, Inventory, Source, SourceError},
};
use std::{ops::Range, path::PathBuf, time::Duration};
use tokio::runtime::Handle;

/// Pauses before a call that found the server busy, or away, is made again.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// A server's store. Its calls block, so that it is for threads that may.
pub(crate) struct Remote {
    pub(crate) client: CopiesClient,
    pub(crate) runtime: Handle,
}

impl Remote {
    /// Makes a call, again after each pause while the server is not there.
    fn call<T, F>(&self, call: impl Fn() -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, CopyError>>,
    {
        let patiently = async {
            for pause in PAUSES {
                match call().await {
                    Err(CopyError::Unavailable { .. }) => tokio::time::sleep(pause).await,
                    ended => return ended,
                }
            }
            call().await
        };
        self.runtime.block_on(patiently).map_err(why)
    }
}

pub(crate) fn why(error: CopyError) -> SourceError {
    match error {
        // Which one it is, whoever asked knows.
        CopyError::Replaced { .. } => SourceError::Replaced { base: 0 },
        error => SourceError::Unreachable { why: error.to_string() },
    }
}

/// A segment of an inventory.
pub(crate) fn held(segment: &Segment) -> Held {
    let Segment { base, seed, origin, end, sealed } = *segment;
    Held { base, seed, origin, end, is_sealed: sealed }
}

impl Source for Remote {
    fn name(&self, of: &Held) -> PathBuf {
        PathBuf::from(self.client.authority()).join(of.file_name())
    }

    fn inventory(&self) -> Result<Inventory, SourceError> {
        let answer = self.call(|| self.client.inventory(InventoryRequest::default()))?;
        let store = Uuid::from_slice(&answer.store).map_err(|error| SourceError::Unreachable {
            why: format!("{} names its store by no id: {error}", self.client.authority()),
        })?;
        let segments = answer.segments.iter().map(held).collect();
        Ok(Inventory { store, head: Position(answer.head), segments })
    }

    fn piece(&self, of: &Held, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let (base, seed, offset) = (of.base, of.seed, range.start);
        let length = range.end.saturating_sub(range.start);
        let request = ReadSegmentRequest { base, seed, offset, length };
        let bytes = self.call(|| self.client.read_segment(request))?;
        match bytes.is_empty() {
            true => Err(SourceError::Replaced { base }),
            false => Ok(bytes.into()),
        }
    }
}
