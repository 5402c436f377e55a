//! The bytes of a server's store, as the engine's copies want them.

use factum::{
    Position, Uuid,
    client::{
        CopiesClient, CopyError,
        copies::{InventoryRequest, InventoryResponse, Newest, ReadSegmentRequest, Segment},
    },
    log::copy::{Held, Inventory, Length, Source, SourceError},
};
use std::{ops::Range, path::PathBuf, time::Duration};
use tokio::{runtime::Handle, sync::Semaphore};

/// Pauses before a call that found the server busy, or away, is made again.
const PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// A server that has not answered by then is taken to be gone, though its connection stands.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// A server's store. Its calls block, so that it is for threads that may.
pub(crate) struct Remote {
    client: CopiesClient,
    runtime: Handle,
    pauses: &'static [Duration],
    /// Closed when calls are to end.
    interrupted: Semaphore,
}

impl Remote {
    /// For who has one thing to do, and waits a while for a server that is away.
    pub(crate) fn patient(client: CopiesClient) -> Self {
        Self { pauses: PAUSES, ..Self::new(client) }
    }

    /// For who comes again by itself: each call is made once.
    pub(crate) fn new(client: CopiesClient) -> Self {
        let (runtime, interrupted) = (Handle::current(), Semaphore::new(0));
        Self { client, runtime, pauses: &[], interrupted }
    }

    /// Makes a call, again after each pause while the server is not there.
    fn call<T, F>(&self, call: impl Fn() -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, CopyError>>,
    {
        let once = || async {
            match tokio::time::timeout(ANSWER_TIME_MAX, call()).await {
                Ok(ended) => ended,
                Err(_) => Err(self.away("it has not answered in time")),
            }
        };
        let patiently = async {
            for pause in self.pauses {
                match once().await {
                    Err(CopyError::Unavailable { .. }) => tokio::time::sleep(*pause).await,
                    ended => return ended,
                }
            }
            once().await
        };
        let ended = self.runtime.block_on(async {
            tokio::select! {
                ended = patiently => ended,
                _ = self.interrupted.acquire() => Err(self.away("nobody waits for it any more")),
            }
        });
        ended.map_err(why)
    }

    fn away(&self, why: &str) -> CopyError {
        let (authority, why) = (self.client.authority().to_owned(), why.to_owned());
        CopyError::Unavailable { authority, why }
    }

    fn inventory_of(&self, answer: &InventoryResponse) -> Result<Inventory, SourceError> {
        let store = Uuid::from_slice(&answer.store).map_err(|error| SourceError::Unreachable {
            why: format!("{} names its store by no id: {error}", self.client.authority()),
        })?;
        let segments = answer.segments.iter().map(held).collect();
        Ok(Inventory { store, head: Position(answer.head), segments })
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
        self.inventory_of(&answer)
    }

    fn news(&self, seen: Length, from: u64) -> Result<Inventory, SourceError> {
        let unlike = Some(Newest { base: seen.base, end: seen.end });
        let request = InventoryRequest { from_base: from, unlike };
        let answer = self.call(|| self.client.inventory(request))?;
        self.inventory_of(&answer)
    }

    fn interrupt(&self) {
        self.interrupted.close();
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
