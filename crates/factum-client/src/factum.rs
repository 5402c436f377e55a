//! Factum's own protocol: the whole store trait over `factum.v1`.
//!
//! | module | what |
//! |---|---|
//! | `encode` | what is asked, as messages |
//! | `decode` | what is answered, from messages |
//! | `refusal` | errors, rebuilt as the server's store had them |
//! | `pipeline` | many appends in flight on one call |
//! | `copies` | the bytes of the server's store |
//! | `batches` | the answers of reads and subscriptions, pulled |

mod batches;
mod columns;
pub mod copies;
mod decode;
mod encode;
mod pipeline;
mod refusal;

pub use batches::FactumBatches;
pub use copies::{CopiesClient, CopyError};

use crate::{
    address::Address,
    connect::{self, ConnectError},
};
use factum_core::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read, ReadError,
    Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe, judge,
};
use factum_proto::factum::v1::{self, store_client::StoreClient};
use pipeline::Pipeline;
use prost::Message as _;
use std::{fmt, sync::Arc};
use tonic::{Response, Status, transport::Channel};

/// A message may be this much larger than the largest event: names, and the rest of its batch.
const MESSAGE_EXTRA_BYTES: usize = 4 << 20;

/// An append with more bytes than this goes on a call of its own, so that small ones need not wait
/// behind it.
const PIPELINED_BYTES_MAX: usize = 256 * 1024;

/// An event store in a Factum server. Clones share one connection.
///
/// What it can do is what the server's store can. For what happens when the connection is lost see
/// the [crate's page](crate#connections).
///
/// ```no_run
/// use factum_client::FactumClient;
/// use factum_core::{EventStore, Query, Read, next_batch};
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FactumClient::connect("factum://127.0.0.1:2113").await?;
/// let mut reading = store.read(Read::query(Query::category("order"))).await?;
/// while let Some(batch) = next_batch(&mut reading.batches).await {
///     for event in batch?.events {
///         assert_eq!(event.stream().category(), "order");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FactumClient {
    client: StoreClient<Channel>,
    pipeline: Arc<Pipeline>,
    capabilities: Arc<Capabilities>,
    authority: Arc<str>,
}

impl fmt::Debug for FactumClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactumClient").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl FactumClient {
    /// Connects to `factum://host[:port]` and asks what the server's store can do.
    ///
    /// Call it inside of a `tokio` runtime, which has to live as long as the client.
    ///
    /// # Errors
    /// [`ConnectError`] says what is wrong: the URL, nobody there, or somebody else.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let address = Address::factum(url)?;
        let channel = connect::channel(&address)?;
        let capabilities = capabilities(&channel).await.map_err(|status| {
            let instead = "is it a KurrentDB? Then the URL begins with kurrentdb://";
            ConnectError::first_call(&address, "factum.v1", instead, &status)
        })?;
        let limits = &capabilities.limits;
        let message_bytes_max =
            limits.event_bytes_max + limits.metadata_bytes_max + MESSAGE_EXTRA_BYTES;
        let client = StoreClient::new(channel).max_decoding_message_size(message_bytes_max);
        let authority: Arc<str> = address.authority().into();
        Ok(Self {
            pipeline: Arc::new(Pipeline::new(client.clone(), authority.clone())),
            client,
            capabilities: Arc::new(capabilities),
            authority,
        })
    }

    fn read_error(&self, status: &Status) -> ReadError {
        refusal::read_error(status, &self.authority)
    }

    fn append_error(&self, status: &Status) -> AppendError {
        refusal::append_error(status, &self.authority)
    }
}

/// What the store behind a channel can do.
pub(crate) async fn capabilities(channel: &Channel) -> Result<Capabilities, Status> {
    let answer = StoreClient::new(channel.clone()).capabilities(v1::CapabilitiesRequest {}).await;
    Ok(decode::capabilities(&answer?.into_inner()))
}

/// Makes a call: its answer, or the status. See [`connect::once_more`].
macro_rules! call {
    ($this:ident, $rpc:ident, $request:expr) => {{
        let request = $request;
        let answer = connect::once_more(|| {
            let (mut client, request) = ($this.client.clone(), request.clone());
            async move { client.$rpc(request).await }
        });
        answer.await.map(Response::into_inner)
    }};
}

impl EventStore for FactumClient {
    type Batches = FactumBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        // What is too large for the server must not get as far as the call that others share.
        judge::validate(&append, &self.capabilities.limits)?;
        let request = encode::append(&append);
        if request.encoded_len() <= PIPELINED_BYTES_MAX {
            return self.pipeline.append(request).await;
        }
        let answer = call!(self, append, request);
        decode::receipt(answer.map_err(|status| self.append_error(&status))?)
    }

    async fn read(&self, read: Read) -> Result<Reading<FactumBatches>, ReadError> {
        let request = encode::read(&read);
        let answer = call!(self, read, request);
        let answers = answer.map_err(|status| self.read_error(&status))?;
        FactumBatches::of_read(answers, self.authority.clone()).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<FactumBatches, ReadError> {
        let request = encode::subscribe(&subscribe);
        let answer = call!(self, subscribe, request);
        let answers = answer.map_err(|status| self.read_error(&status))?;
        Ok(FactumBatches::of_subscription(answers, self.authority.clone()))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let answer = call!(self, head, v1::HeadRequest {});
        let answer = answer.map_err(|status| self.read_error(&status))?;
        Ok(Position(answer.position))
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        let request = v1::MetadataRequest { stream: stream.as_str().to_owned() };
        let answer = call!(self, metadata, request);
        let answer = answer.map_err(|status| self.read_error(&status))?;
        Ok(decode::metadata(answer.metadata.unwrap_or_default()))
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        let request = encode::change(stream, change, expected);
        let answer = call!(self, change, request);
        decode::receipt(answer.map_err(|status| self.append_error(&status))?)
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        let request = v1::TrackedRequest { source: source.to_owned() };
        let answer = call!(self, tracked, request);
        let answer = answer.map_err(|status| self.read_error(&status))?;
        Ok(answer.position)
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        let answer = call!(self, statistics, v1::StatisticsRequest {});
        let answer = answer.map_err(|status| self.read_error(&status))?;
        Ok(decode::statistics(answer))
    }
}
