//! KurrentDB's first protocol: what it has of the store trait, to a KurrentDB or a Factum server.
//!
//! | module | what |
//! |---|---|
//! | `call` | the calls, and the headers that each carries |
//! | `place` | positions, here and there; pure |
//! | `decode` | events and ids, both ways; pure |
//! | `keys` | tags and *occurred at*, as keys of metadata; pure |
//! | `filter` | what of a query the server can select; pure |
//! | `refusal` | statuses, as errors of a store; pure |
//! | `look` | the head, a stream's state, its metadata: reads of one event |
//! | `read`, `batches` | reads and subscriptions |
//! | `write` | appends and changes |

mod batches;
mod call;
mod decode;
mod filter;
mod keys;
mod look;
mod place;
mod read;
mod refusal;
#[cfg(test)]
mod stand_in;
mod write;

pub use batches::KurrentBatches;

use crate::{
    address::Address,
    connect::{self, ConnectError},
    factum,
};
use call::Calls;
use factum_core::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Limits, Position, Read,
    ReadError, Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe, judge,
};
use place::Server;
use std::{fmt, sync::Arc};
use tonic::{Code, Status, transport::Channel};
use write::Seen;

const PROTOCOL: &str = "KurrentDB's protocol";
const INSTEAD: &str = "is it a server, and is this its HTTP port, with `tls=false` on both sides?";

/// An event store in a KurrentDB (or EventStoreDB), or in a Factum server over the same protocol.
/// Clones share one connection.
///
/// What the protocol has no words for is refused as `Unsupported`: appends to several streams,
/// checks of queries and of streams that are not written, tracked sources, reads as of the past.
/// For what happens when the connection is lost see the [crate's page](crate#connections).
///
/// - **Positions.** On a KurrentDB a position is its commit position plus 1; on a Factum server it
///   is the one that `factum://` tells too. A read by position starts at that of an event: a
///   KurrentDB refuses others.
/// - **Tags and *occurred at*** are keys of the event's metadata, `"$tags"` and `"$occurredAt"`,
///   which must then be empty or a JSON object. They are taken off again when read; those that
///   others wrote count as well.
/// - **Queries** are exact. The server selects by prefixes of streams or types where every item
///   names streams (a category, a prefix), or every item names types; the rest is left out here.
///   Any other query, as one by tags alone, has the whole store sent and looked through.
/// - **Checkpoints** of a subscription come with its events, and where it has caught up; while
///   others' events come a KurrentDB tells one for every 32 that it has looked at.
/// - **Receipts** say `replayed` where that is certain: the position was known to this client
///   before. Of a retry whose first attempt another client made in the meantime, it may be missed.
/// - **Recorded times** come in units of 100 ns; a tombstone's revision is read as the greatest.
///
/// ```no_run
/// use factum_client::KurrentClient;
/// use factum_core::{EventStore, Read, StreamName};
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = KurrentClient::connect("kurrentdb://127.0.0.1:2113?tls=false").await?;
/// let order = Read::stream(StreamName::new("order-1")?);
/// let events = store.read(order).await?.events().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KurrentClient {
    calls: Calls,
    seen: Arc<Seen>,
    capabilities: Arc<Capabilities>,
}

impl fmt::Debug for KurrentClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.calls.authority;
        f.debug_struct("KurrentClient").field("authority", authority).finish_non_exhaustive()
    }
}

impl KurrentClient {
    /// Connects to `kurrentdb://[user:password@]host[:port]?tls=false` (also `kurrent`, `kdb` and
    /// `esdb`), and asks what the server is.
    ///
    /// Of the keys of KurrentDB's clients these have a meaning: `tls` (only `false` is there yet),
    /// `connectionName`, `keepAliveInterval`, `keepAliveTimeout`, `defaultDeadline` (of appends and
    /// changes). Those of clusters and certificates are let pass; others are refused.
    ///
    /// Call it inside of a `tokio` runtime, which has to live as long as the client.
    ///
    /// # Errors
    /// [`ConnectError`] says what is wrong: the URL, nobody there, or somebody else.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let address = Address::kurrent(url)?;
        let channel = connect::channel(&address)?;
        let failed =
            |status: Status| ConnectError::first_call(&address, PROTOCOL, INSTEAD, &status);
        let version = call::version(&address, &channel).await.map_err(failed)?;
        let (server, capabilities) = identify(&channel, &version).await.map_err(failed)?;
        Self::new(&address, Calls::new(&address, channel, server), capabilities).await
    }

    async fn new(
        address: &Address,
        calls: Calls,
        capabilities: Capabilities,
    ) -> Result<Self, ConnectError> {
        let head = calls.head(false).await.map_err(|error| ConnectError::Refused {
            authority: address.authority(),
            why: error.to_string(),
        })?;
        let seen = Seen::default();
        seen.note(head);
        Ok(Self { calls, seen: Arc::new(seen), capabilities: Arc::new(capabilities) })
    }
}

/// What kind of server it is: a Factum server also speaks its own protocol.
async fn identify(channel: &Channel, version: &str) -> Result<(Server, Capabilities), Status> {
    match factum::capabilities(channel).await {
        Ok(own) => {
            let (gapless, limits) = (own.gapless, own.limits);
            let replay_window = own.replay_window;
            Ok((Server::Factum, Capabilities { gapless, replay_window, limits, ..of_protocol() }))
        }
        Err(status) => match status.code() {
            // Who does not know the service, or does not let just anybody ask for it.
            Code::Unimplemented
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated => {
                let limits = limits_of(version);
                Ok((Server::Kurrent, Capabilities { limits, ..of_protocol() }))
            }
            _ => Err(status),
        },
    }
}

fn of_protocol() -> Capabilities {
    Capabilities {
        gapless: false,
        query_checks: false,
        queries: true,
        multi_stream: false,
        tags: true,
        tracking: false,
        as_of: false,
        occurred_at: true,
        // A KurrentDB keeps some ids in memory, and does not say how many.
        replay_window: Some(0),
        limits: Limits::default(),
    }
}

/// What a KurrentDB of this version takes, as long as nobody has set it otherwise.
fn limits_of(version: &str) -> Limits {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let limits = Limits::default();
    if (major, minor) >= (25, 1) {
        return limits;
    }
    let bytes_max = 1 << 20;
    Limits { append_bytes_max: bytes_max, event_bytes_max: bytes_max, ..limits }
}

impl EventStore for KurrentClient {
    type Batches = KurrentBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        judge::validate(&append, &self.capabilities.limits)?;
        self.calls.appending(append, &self.seen).await
    }

    async fn read(&self, read: Read) -> Result<Reading<KurrentBatches>, ReadError> {
        let reading = self.calls.reading(read, &self.capabilities.limits).await?;
        self.seen.note(reading.head);
        Ok(reading)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<KurrentBatches, ReadError> {
        self.calls.following(subscribe, &self.capabilities.limits).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let head = self.calls.head(true).await?;
        self.seen.note(head);
        Ok(head)
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.calls.metadata(stream, true).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        judge::validate_change(&change, &self.capabilities.limits)?;
        self.calls.changing(stream, change, expected, &self.seen).await
    }

    async fn tracked(&self, _source: &str) -> Result<Option<u64>, ReadError> {
        let what = "track a source: KurrentDB's first protocol cannot";
        Err(ReadError::Unsupported { what: what.into() })
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        let told = self.calls.statistics().await;
        let told = told.map_err(|status| self.calls.read_error(&status))?;
        let mut numbers: Vec<_> = told.stats.into_iter().collect();
        numbers.sort();
        Ok(statistics(&numbers))
    }
}

/// The figures that are numbers, under names as ours are.
fn statistics(told: &[(String, String)]) -> Statistics {
    let mut statistics = Statistics::default();
    for (key, value) in told {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let name: String = key.chars().map(letter).collect();
        let number = value.parse().ok().filter(|number: &f64| number.is_finite());
        if let Some(value) = number
            && !name.is_empty()
            && statistics.get(&name).is_none()
        {
            let help = format!("`{key}`, as the server tells it");
            statistics.numbers.push(factum_core::Statistic { name, value, help, counter: false });
        }
    }
    statistics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kurrentdb_takes_what_its_version_takes() {
        for (version, mib) in
            [("24.10.4", 1), ("25.0.1", 1), ("25.1.0", 64), ("26.1.0", 64), ("", 1)]
        {
            assert_eq!(limits_of(version).append_bytes_max, mib << 20, "{version}");
        }
    }

    #[test]
    fn figures_are_named_as_ours_are() {
        let told =
            [("proc-Mem", "12"), ("es-queue.x", "0.5"), ("a-b", "1"), ("a.b", "2"), ("c", "x")];
        let told = told.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let names: Vec<_> =
            statistics(&told).numbers.into_iter().map(|one| (one.name, one.value)).collect();
        let expected = [("proc_mem", 12.0), ("es_queue_x", 0.5), ("a_b", 1.0)];
        assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value)));
    }
}
