//! `factum.v1.Store`: the whole store trait over the wire.
//!
//! | file | what |
//! |---|---|
//! | `request` | messages to the words of the core; pure |
//! | `answer` | the words of the core to messages; pure |
//! | `columns` | batches of events to messages; pure |
//! | `error` | errors, in-band and as a status; pure |
//! | `append_stream` | many appends in flight on one call |
//! | `operations` | `factum.v1.Operations`: maintenance |

mod answer;
mod append_stream;
mod columns;
mod error;
mod operations;
mod request;

use crate::{
    context::{Context, peer},
    gate::Permit,
    grpc::{Protocol, Responses, Subscription},
    inbound::Meter,
    statistics,
    subscribers::{Caller, follow},
};
use append_stream::AppendStream;
use factum_core::{AnyStore, AppendError, EventStore, Receipt, StreamName, Subscribe};
use factum_proto::factum::v1::{self as wire, store_server::Store};
use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use error::busy;
pub(crate) use operations::Operations;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    context: Context,
}

impl Service {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }

    fn store(&self) -> &AnyStore {
        &self.context.store
    }
}

/// Makes room for an append, or says that there is none.
fn admit(context: &Context, append: &wire::AppendRequest) -> Option<Permit> {
    context.gate.append_bytes.take(request::weight(append))
}

/// One append, from message to receipt.
async fn append(context: &Context, append: wire::AppendRequest) -> Result<Receipt, error::Problem> {
    let _room = admit(context, &append).ok_or(AppendError::Overloaded)?;
    let append = request::append(append)?;
    #[cfg(feature = "planted")]
    return Ok(crate::planted::append(context, append, _room).await?);
    #[cfg(not(feature = "planted"))]
    Ok(context.store.append(append).await?)
}

/// What a request's bytes were counted for is over: they are a message now.
fn decoded<T>(request: Request<T>) -> T {
    if let Some(meter) = request.extensions().get::<Meter>() {
        meter.decoded();
    }
    request.into_inner()
}

#[tonic::async_trait]
impl Store for Service {
    type AppendStreamStream = AppendStream;
    type ReadStream = Responses<wire::ReadResponse>;
    type SubscribeStream = Responses<wire::Batch>;

    async fn append(
        &self,
        request: Request<wire::AppendRequest>,
    ) -> Result<Response<wire::Receipt>, Status> {
        let receipt = append(&self.context, decoded(request)).await?;
        Ok(Response::new(answer::receipt(receipt)))
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<wire::AppendStreamRequest>>,
    ) -> Result<Response<AppendStream>, Status> {
        Ok(Response::new(AppendStream::new(self.context.clone(), request)))
    }

    async fn read(
        &self,
        request: Request<wire::ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let read = request::read(decoded(request))?;
        let reading = self.store().read(read).await.map_err(error::Problem::Read)?;
        let start = answer::start(reading.head, reading.state);
        let batches = reading.batches.map(|batch| match batch {
            Ok(batch) => Ok(answer::read_batch(&batch)),
            Err(error) => Err(error::Problem::Read(error).into()),
        });
        Ok(Response::new(stream::iter([Ok(start)]).chain(batches).boxed()))
    }

    async fn subscribe(
        &self,
        request: Request<wire::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = Caller { protocol: "factum.v1", peer: peer(&request), filter: None };
        let wire::SubscribeRequest { select, after } = decoded(request);
        let subscribe = Subscribe { select: request::select(select)?, after };
        let batches = follow(&self.context, caller, subscribe).await;
        let batches = batches.map_err(error::Problem::Read)?;
        let batches = batches.map(|batch| match batch {
            Ok(batch) => Ok(columns::batch(&batch)),
            Err(error) => Err(error::Problem::Read(error).into()),
        });
        let subscription = Subscription::new(&self.context, Protocol::V1, batches)?;
        Ok(Response::new(Box::pin(subscription)))
    }

    async fn head(
        &self,
        _: Request<wire::HeadRequest>,
    ) -> Result<Response<wire::HeadResponse>, Status> {
        let head = self.store().head().await.map_err(error::Problem::Read)?;
        #[cfg(feature = "planted")]
        let head = crate::planted::head(head);
        Ok(Response::new(wire::HeadResponse { position: head.0 }))
    }

    async fn metadata(
        &self,
        request: Request<wire::MetadataRequest>,
    ) -> Result<Response<wire::MetadataResponse>, Status> {
        let stream = stream_name(&decoded(request).stream)?;
        let metadata = self.store().metadata(&stream).await.map_err(error::Problem::Read)?;
        let metadata = Some(answer::metadata(metadata));
        Ok(Response::new(wire::MetadataResponse { metadata }))
    }

    async fn change(
        &self,
        request: Request<wire::ChangeRequest>,
    ) -> Result<Response<wire::Receipt>, Status> {
        let wire::ChangeRequest { stream, expected, change } = decoded(request);
        let stream = stream_name(&stream)?;
        let expected = expected.map(|expected| request::expected(Some(expected))).transpose()?;
        let change = request::change(change)?;
        let receipt = self.store().change(&stream, change, expected).await;
        Ok(Response::new(answer::receipt(receipt.map_err(error::Problem::Append)?)))
    }

    async fn tracked(
        &self,
        request: Request<wire::TrackedRequest>,
    ) -> Result<Response<wire::TrackedResponse>, Status> {
        let position = self.store().tracked(&decoded(request).source).await;
        let position = position.map_err(error::Problem::Read)?;
        Ok(Response::new(wire::TrackedResponse { position }))
    }

    async fn capabilities(
        &self,
        _: Request<wire::CapabilitiesRequest>,
    ) -> Result<Response<wire::CapabilitiesResponse>, Status> {
        Ok(Response::new(answer::capabilities(self.store().capabilities())))
    }

    async fn statistics(
        &self,
        _: Request<wire::StatisticsRequest>,
    ) -> Result<Response<wire::StatisticsResponse>, Status> {
        Ok(Response::new(answer::statistics(statistics::gather(&self.context).await)))
    }
}

fn stream_name(name: &str) -> Result<StreamName, error::Problem> {
    Ok(StreamName::new(name)?)
}
