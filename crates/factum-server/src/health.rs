//! gRPC's own health service: whether this server, or one of its services, serves.
//!
//! Beside `/health/…` for probes and clients that speak gRPC only.

use crate::{
    context::Context,
    grpc::{Protocol, Responses, Subscription},
    rpc::RPCS,
};
use factum_core::EventStore;
use factum_proto::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};
use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status};

/// The full name of the service.
pub(crate) const SERVICE: &str = "grpc.health.v1.Health";

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    context: Context,
}

impl Service {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }

    /// A server is known by no name, a service by its own.
    fn knows(name: &str) -> bool {
        name.is_empty() || RPCS.iter().any(|rpc| rpc.service == name)
    }

    async fn status(&self) -> ServingStatus {
        match self.context.store.head().await {
            Ok(_) if !self.context.drain.is_cancelled() => ServingStatus::Serving,
            _ => ServingStatus::NotServing,
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Responses<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        if !Self::knows(&name) {
            return Err(Status::not_found(format!("this server has no service {name}")));
        }
        Ok(Response::new(answer(self.status().await)))
    }

    /// The end of the call is the news that the server stops.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let status = if Self::knows(&request.into_inner().service) {
            self.status().await
        } else {
            ServingStatus::ServiceUnknown
        };
        let now = stream::iter([Ok(answer(status))]).chain(stream::pending());
        let subscription = Subscription::new(&self.context, Protocol::V1, now.boxed())?;
        Ok(Response::new(Box::pin(subscription)))
    }
}
