//! What is asked for without gRPC: is the server alive, is it ready, what is it, what are its
//! numbers. Over HTTP/1.1 and HTTP/2.

use crate::{context::Context, kurrentdb, metrics, status};
use bytes::Bytes;
use factum_core::EventStore;
use factum_log::{LogStore, store::Lag};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

const JSON: &str = "application/json";

/// Answers one request.
pub(crate) async fn respond<B>(context: &Context, request: Request<B>) -> Response<Body> {
    let path = request.uri().path();
    let known = ["/health/live", "/health/ready", "/info", "/metrics"];
    if !known.contains(&path) {
        let hint = "try /health/live, /health/ready, /info, /metrics, or gRPC";
        return problem(StatusCode::NOT_FOUND, &format!("there is nothing at {path}: {hint}"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/health/live" => live(request.uri().query()),
        "/health/ready" => ready(context).await,
        "/info" => body(StatusCode::OK, JSON, info(context)),
        _ => body(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(context).await),
    }
}

/// 204, or what `?liveCode=` asks for, as KurrentDB's clients and probes may.
fn live(query: Option<&str>) -> Response<Body> {
    let code = query.and_then(|query| {
        let code = query.split('&').find_map(|pair| pair.strip_prefix("liveCode="))?;
        StatusCode::from_bytes(code.as_bytes()).ok().filter(|code| !code.is_informational())
    });
    body(code.unwrap_or(StatusCode::NO_CONTENT), JSON, String::new())
}

/// Whether calls are served: the store answers, and nobody has asked to stop.
async fn ready(context: &Context) -> Response<Body> {
    if context.drain.is_cancelled() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    }
    match context.store.head().await {
        Ok(head) => {
            // What is whole is served: no reason to send clients elsewhere.
            let damaged = context.log.as_ref().map_or(0, |log| log.reader().damage_found().len());
            // That was accepted, and stays so: no reason to call it degraded.
            let lost = context.log.as_ref().map_or(0, |log| log.reader().positions_lost());
            let lag = context.log.as_ref().and_then(LogStore::lag);
            let json = nojson::object(|f| {
                f.member("status", state(context, damaged, lag.as_ref()))?;
                f.member("head", head.0)?;
                if lost > 0 {
                    f.member("positionsLost", lost)?;
                }
                if damaged > 0 {
                    f.member("damagedFiles", damaged)?;
                }
                let Some(lag) = &lag else { return Ok(()) };
                f.member("source", &*lag.source)?;
                f.member("sourceHead", lag.source_head.0)?;
                f.member("lagPositions", lag.positions)?;
                f.member("lagSeconds", lag.behind.as_secs())?;
                lag.trouble.as_ref().map_or(Ok(()), |why| f.member("trouble", &**why))
            });
            body(StatusCode::OK, JSON, json.to_string())
        }
        Err(error) => problem(status::read_row(&error).http, &error.to_string()),
    }
}

/// Ready is all that a store can be; a replica follows.
fn state(context: &Context, damaged: usize, lag: Option<&Lag>) -> &'static str {
    let far = context.config.limits.replica_lag_max;
    match lag {
        _ if damaged > 0 => "degraded",
        None => "ready",
        Some(lag) if lag.is_stopped || lag.behind > far => "degraded",
        Some(_) => "following",
    }
}

fn info(context: &Context) -> String {
    let can = context.store.capabilities();
    let capabilities = nojson::object(|f| {
        f.member("gapless", can.gapless)?;
        f.member("queryChecks", can.query_checks)?;
        f.member("queries", can.queries)?;
        f.member("multiStream", can.multi_stream)?;
        f.member("tags", can.tags)?;
        f.member("tracking", can.tracking)?;
        f.member("asOf", can.as_of)?;
        f.member("occurredAt", can.occurred_at)
    });
    let info = nojson::object(|f| {
        f.member("name", "factum")?;
        f.member("version", env!("CARGO_PKG_VERSION"))?;
        f.member("esVersion", kurrentdb::VERSION)?;
        let is_replica = context.log.as_ref().is_some_and(|log| log.lag().is_some());
        f.member("state", if is_replica { "replica" } else { "leader" })?;
        f.member("instance", context.instance.to_string())?;
        f.member("protocols", ["factum.v1", "event_store.client", "umadb.v1"])?;
        f.member("capabilities", &capabilities)
    });
    info.to_string()
}

/// Too much at once.
pub(crate) fn busy() -> Response<Body> {
    problem(StatusCode::SERVICE_UNAVAILABLE, "the server is too busy: retry after a pause")
}

fn problem(status: StatusCode, why: &str) -> Response<Body> {
    body(status, JSON, nojson::object(|f| f.member("error", why)).to_string())
}

fn body(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
