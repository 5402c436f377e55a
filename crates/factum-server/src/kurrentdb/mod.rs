//! KurrentDB's first gRPC protocol, over any store: its published clients work unchanged.
//!
//! | file | what |
//! |---|---|
//! | `options` | a read's options, as a plan; pure |
//! | `expected` | expected revisions in their three forms; pure |
//! | `events` | events and ids, both ways; pure |
//! | `errors` | statuses, messages and trailers, word for word; pure |
//! | `filter` | filters by prefix and regular expression; pure |
//! | `append`, `batch`, `delete` | writing |
//! | `read`, `subscription`, `links` | reading |
//! | `operations` | scavenging |
//! | `features`, `gossip`, `monitoring` | what a client asks about the server |
//!
//! Commit and prepare position are both the position. Metadata and links are events like others:
//! an append to `$$NAME` goes to the store, which judges it.
//!
//! Tags and the time at which it happened are keys of an event's metadata, `"$tags"` and
//! `"$occurredAt"`, which is stored as it came. Events that have them from elsewhere (another
//! protocol, the command line) are shown with these keys in front of their metadata, where that is
//! empty or a JSON object without them; other metadata is shown as it is.

mod append;
mod batch;
mod delete;
mod errors;
mod events;
mod expected;
mod features;
mod filter;
mod gossip;
mod links;
mod monitoring;
mod operations;
mod options;
mod read;
mod subscription;

use crate::{
    context::{Context, peer},
    grpc::Responses,
    inbound::Meter,
};
use batch::BatchAppend;
use factum_proto::event_store::client::streams::{
    AppendReq, AppendResp, BatchAppendReq, DeleteReq, DeleteResp, ReadReq, ReadResp, TombstoneReq,
    TombstoneResp, streams_server::Streams,
};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use errors::busy;

/// The full name of the service of features.
pub(crate) const FEATURES_SERVICE: &str = "event_store.client.server_features.ServerFeatures";

/// The version of KurrentDB whose clients find here what they ask that version for.
pub(crate) const VERSION: &str = "26.1.0";

/// All services of the protocol.
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
impl Streams for Service {
    type ReadStream = Responses<ReadResp>;
    type BatchAppendStream = BatchAppend;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        let peer = peer(&request);
        let plan = options::plan(decoded(request), &self.context.config.limits)?;
        let responses = match plan.mode {
            options::Mode::Read(once) => {
                read::read(&self.context, plan.source, once, plan.shape).await?
            }
            options::Mode::Subscribe(after) => {
                let options::Plan { source, shape, .. } = plan;
                let wanted = subscription::Wanted { source, after, shape, peer };
                subscription::subscribe(&self.context, wanted).await?
            }
        };
        Ok(Response::new(responses))
    }

    async fn append(
        &self,
        request: Request<Streaming<AppendReq>>,
    ) -> Result<Response<AppendResp>, Status> {
        append::append(&self.context, request).await.map(Response::new)
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        delete::delete(&self.context, decoded(request)).await.map(Response::new)
    }

    async fn tombstone(
        &self,
        request: Request<TombstoneReq>,
    ) -> Result<Response<TombstoneResp>, Status> {
        delete::tombstone(&self.context, decoded(request)).await.map(Response::new)
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<BatchAppend>, Status> {
        Ok(Response::new(BatchAppend::new(self.context.clone(), request)))
    }
}
