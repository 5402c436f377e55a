//! Every request of a connection: let in or refused, timed, handed to its protocol, watched.

use crate::{
    connection::{Activity, Busy},
    context::{Context, Reached},
    copies, dcb, grpc,
    grpc::Protocol,
    health, http as plain,
    inbound::{Awaited, Counted, Meter},
    kurrentdb,
    metrics::Call,
    outbound::{Watched, code_in},
    rpc::{self, Rpc},
    socket::HoldsBack,
    v1,
};
use bytes::Bytes;
use factum_proto::{
    event_store::client::{
        gossip::gossip_server::GossipServer, monitoring::monitoring_server::MonitoringServer,
        operations::operations_server::OperationsServer as KurrentOperations,
        server_features::server_features_server::ServerFeaturesServer,
        streams::streams_server::StreamsServer,
    },
    factum::v1::{
        copies_server::CopiesServer, operations_server::OperationsServer, store_server::StoreServer,
    },
    grpc::health::v1::health_server::HealthServer,
    umadb::v1::dcb_server::DcbServer,
};
use http::{Request, Response};
use hyper::body::Incoming;
use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, StdError},
};

/// The services, made once a connection.
pub(crate) struct Services {
    v1: StoreServer<v1::Service>,
    operations: OperationsServer<v1::Operations>,
    kurrent_operations: KurrentOperations<kurrentdb::Service>,
    copies: CopiesServer<copies::Service>,
    streams: StreamsServer<kurrentdb::Service>,
    features: ServerFeaturesServer<kurrentdb::Service>,
    gossip: GossipServer<kurrentdb::Service>,
    monitoring: MonitoringServer<kurrentdb::Service>,
    dcb: DcbServer<dcb::Service>,
    health: HealthServer<health::Service>,
}

impl Services {
    pub(crate) fn new(context: &Context) -> Self {
        let max = context.config.limits.message_bytes_max;
        let kurrentdb = Arc::new(kurrentdb::Service::new(context.clone()));
        Self {
            v1: StoreServer::new(v1::Service::new(context.clone())).max_decoding_message_size(max),
            operations: OperationsServer::new(v1::Operations::new(context.clone())),
            kurrent_operations: KurrentOperations::from_arc(kurrentdb.clone()),
            copies: CopiesServer::new(copies::Service::new(context.clone())),
            streams: StreamsServer::from_arc(kurrentdb.clone()).max_decoding_message_size(max),
            features: ServerFeaturesServer::from_arc(kurrentdb.clone()),
            gossip: GossipServer::from_arc(kurrentdb.clone()),
            monitoring: MonitoringServer::from_arc(kurrentdb),
            dcb: DcbServer::new(dcb::Service::new(context.clone())).max_decoding_message_size(max),
            health: HealthServer::new(health::Service::new(context.clone())),
        }
    }

    /// The body comes from a connection, or from who tries any bytes at all.
    pub(crate) async fn call<B>(&self, rpc: &Rpc, request: Request<Counted<B>>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
    {
        let Ok(response) = match rpc.service {
            kurrentdb::FEATURES_SERVICE => self.features.clone().call(request).await,
            rpc::COPIES => self.copies.clone().call(request).await,
            health::SERVICE => self.health.clone().call(request).await,
            rpc::OPERATIONS => self.operations.clone().call(request).await,
            service if service.contains(".operations.") => {
                self.kurrent_operations.clone().call(request).await
            }
            service if service.contains(".gossip.") => self.gossip.clone().call(request).await,
            service if service.contains(".monitoring.") => {
                self.monitoring.clone().call(request).await
            }
            _ => match rpc.protocol {
                Protocol::V1 => self.v1.clone().call(request).await,
                Protocol::KurrentDb => self.streams.clone().call(request).await,
                Protocol::Dcb => self.dcb.clone().call(request).await,
            },
        };
        response
    }
}

/// The service of one connection.
#[derive(Clone)]
pub(crate) struct Router {
    context: Context,
    services: Arc<Services>,
    activity: Arc<Activity>,
    holds_back: HoldsBack,
    ends: Ends,
    refuses: bool,
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) peer: Option<SocketAddr>,
}

impl Router {
    /// `refuses`: this connection is one too many, and is only told so.
    pub(crate) fn new(context: Context, ends: Ends, refuses: bool) -> Self {
        let services = Arc::new(Services::new(&context));
        let (activity, holds_back) = (Activity::new(), HoldsBack::default());
        Self { context, services, activity, holds_back, ends, refuses }
    }

    pub(crate) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }

    /// Whether the client of this connection waits for acknowledgements, as is known later.
    pub(crate) fn holds_back(&self) -> HoldsBack {
        self.holds_back.clone()
    }

    pub(crate) fn refuses(&self) -> bool {
        self.refuses
    }

    async fn handle(self, request: Request<Incoming>) -> Response<Watched> {
        let busy = self.activity.begin();
        let rpc = rpc::find(request.uri().path());
        let is_grpc = rpc.is_some() || grpc::is_grpc(&request);
        let refusal = rpc.map_or(v1::busy as fn() -> Status, |rpc| rpc.protocol.busy());
        let permit = self.context.gate.calls.take(usize::from(!self.refuses));
        let Some(permit) = permit.filter(|_| !self.refuses) else {
            let none = self.context.gate.calls.nothing();
            let response = if is_grpc { refusal().into_http() } else { plain::busy() };
            return watch(response, None, none, busy);
        };
        let Some(rpc) = rpc else {
            let response = if is_grpc {
                unimplemented(request.uri().path()).into_http()
            } else {
                plain::respond(&self.context, request).await
            };
            return watch(response, None, permit, busy);
        };
        let call = Call::new(self.context.clone(), rpc);
        let response = self.call(rpc, request, refusal).await;
        let response = response.unwrap_or_else(Status::into_http);
        match code_in(response.headers()) {
            Some(code) => {
                call.done(code);
                watch(response, None, permit, busy)
            }
            None => watch(response, Some(call), permit, busy),
        }
    }

    async fn call(
        &self,
        rpc: &Rpc,
        request: Request<Incoming>,
        refusal: fn() -> Status,
    ) -> Result<Response<Body>, Status> {
        if self.context.drain.is_cancelled() {
            return Err(grpc::draining());
        }
        let timeout = grpc::timeout(request.headers())?;
        let call = self.services.call(rpc, self.prepare(request, refusal)?);
        match timeout {
            None => Ok(call.await),
            Some(time) => {
                let done = tokio::time::timeout(time, call).await;
                done.map_err(|_| grpc::deadline_exceeded())
            }
        }
    }

    /// The request with its body counted, and with what handlers need to know of the connection.
    fn prepare(
        &self,
        request: Request<Incoming>,
        refusal: fn() -> Status,
    ) -> Result<Request<Counted<Incoming>>, Status> {
        let permit = self.context.gate.received_bytes.take(0).ok_or_else(refusal)?;
        let meter = Meter::new(permit);
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let Ends { local, peer } = self.ends;
        let reached = Reached { authority, local, peer };
        let next = Awaited::new(self.holds_back.clone());
        let mut request = request.map(|body| Counted { body, next, meter: meter.clone(), refusal });
        request.extensions_mut().insert(meter);
        request.extensions_mut().insert(reached);
        Ok(request)
    }
}

fn unimplemented(path: &str) -> Status {
    Status::unimplemented(format!("this server has no method {path}"))
}

fn watch(
    response: Response<Body>,
    call: Option<Call>,
    permit: crate::gate::Permit,
    busy: Busy,
) -> Response<Watched> {
    response.map(|body| Watched { body, call, _permit: permit, _busy: busy })
}

impl hyper::service::Service<Request<Incoming>> for Router {
    type Response = Response<Watched>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.handle(request).await) })
    }
}
