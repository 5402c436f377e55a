//! UmaDB's dynamic consistency boundaries, over any store: its published clients work unchanged.
//!
//! | file | what |
//! |---|---|
//! | `events` | events, both ways; the stream of an event that names none; pure |
//! | `queries` | queries and conditions; pure |
//! | `errors` | statuses with UmaDB's own detail; pure |
//! | `read` | reads and subscriptions |
//! | `append` | appends |
//!
//! Events in streams of the system (`$…`) are not seen here: not in reads, not in the head, and
//! not by a condition.

mod append;
mod errors;
mod events;
mod queries;
mod read;

use crate::{
    context::{Context, peer},
    grpc::{Protocol, Responses, Subscription},
    inbound::Meter,
};
use factum_core::EventStore;
use factum_proto::umadb::v1::{
    AppendRequest, AppendResponse, HeadRequest, HeadResponse, ReadRequest, ReadResponse,
    SubscribeRequest, SubscribeResponse, TrackingRequest, TrackingResponse, dcb_server::Dcb,
};
use tonic::{Request, Response, Status};

pub(crate) use errors::busy;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    context: Context,
}

impl Service {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }
}

/// What a request's bytes were counted for is over: they are a message now.
fn decoded<T>(request: Request<T>) -> T {
    if let Some(meter) = request.extensions().get::<Meter>() {
        meter.decoded();
    }
    request.into_inner()
}

#[tonic::async_trait]
impl Dcb for Service {
    type ReadStream = Responses<ReadResponse>;
    type SubscribeStream = Responses<SubscribeResponse>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        read::read(&self.context, decoded(request)).await.map(Response::new)
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let responses = read::subscribe(&self.context, peer(&request), decoded(request)).await?;
        let subscription = Subscription::new(&self.context, Protocol::Dcb, responses)?;
        Ok(Response::new(Box::pin(subscription)))
    }

    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        let position = append::append(&self.context, decoded(request)).await?;
        Ok(Response::new(AppendResponse { position }))
    }

    async fn head(&self, _: Request<HeadRequest>) -> Result<Response<HeadResponse>, Status> {
        let position = read::head(&self.context).await?;
        Ok(Response::new(HeadResponse { position }))
    }

    async fn get_tracking_info(
        &self,
        request: Request<TrackingRequest>,
    ) -> Result<Response<TrackingResponse>, Status> {
        let position = self.context.store.tracked(&decoded(request).source).await;
        let position = position.map_err(|error| errors::of_read(&error))?;
        Ok(Response::new(TrackingResponse { position }))
    }
}
