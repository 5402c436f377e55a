//! `factum.v1.Operations`: maintenance of the store.

use super::decoded;
use crate::{
    context::Context,
    grpc::{Protocol, Responses, Subscription},
    operations::{Asked, Phase, Scavenge},
};
use factum_core::{Revision, StreamName};
use factum_log::rewrite::{EraseRequest, ScavengeOptions, ScavengeReport};
use factum_proto::factum::v1::{self as wire, operations_server, scavenge::State};
use futures_util::stream;
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub(crate) struct Operations {
    context: Context,
}

impl Operations {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl operations_server::Operations for Operations {
    type ScavengeStatusStream = Responses<wire::Scavenge>;

    async fn start_scavenge(
        &self,
        request: Request<wire::StartScavengeRequest>,
    ) -> Result<Response<wire::StartScavengeResponse>, Status> {
        let options = options(&decoded(request))?;
        let Asked { id, was_running } = self.context.operations.start(options)?;
        let scavenge_id = id.to_string();
        Ok(Response::new(wire::StartScavengeResponse { scavenge_id, was_running }))
    }

    async fn stop_scavenge(
        &self,
        request: Request<wire::StopScavengeRequest>,
    ) -> Result<Response<wire::StopScavengeResponse>, Status> {
        let id = decoded(request).scavenge_id;
        match self.context.operations.stop(id.as_deref())? {
            Some(id) => {
                Ok(Response::new(wire::StopScavengeResponse { scavenge_id: id.to_string() }))
            }
            None => Err(Status::not_found("no such scavenge is going on")),
        }
    }

    async fn scavenge_status(
        &self,
        _: Request<wire::ScavengeStatusRequest>,
    ) -> Result<Response<Self::ScavengeStatusStream>, Status> {
        let Some(mut seen) = self.context.operations.seen()? else {
            return Err(Status::not_found("no scavenge was started since the server was"));
        };
        seen.mark_changed();
        let states = stream::unfold(Some(seen), |seen| async move {
            let mut seen = seen?;
            let goes_on = seen.changed().await.is_ok();
            let now = seen.borrow_and_update().clone();
            let is_last = now.phase != Phase::Running;
            (goes_on || is_last).then_some((Ok(scavenge(now)), (!is_last).then_some(seen)))
        });
        let subscription = Subscription::new(&self.context, Protocol::V1, Box::pin(states))?;
        Ok(Response::new(Box::pin(subscription)))
    }

    async fn erase(
        &self,
        request: Request<wire::EraseRequest>,
    ) -> Result<Response<wire::EraseResponse>, Status> {
        let wire::EraseRequest { stream, revision, reason, by } = decoded(request);
        let stream = StreamName::new(&stream)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let request = EraseRequest { stream, revision: Revision(revision), reason, by };
        let erased = self.context.operations.erase(request).await?;
        let (position, already) = (erased.position.0, erased.already);
        Ok(Response::new(wire::EraseResponse { position, already }))
    }
}

fn options(request: &wire::StartScavengeRequest) -> Result<ScavengeOptions, Status> {
    let usual = ScavengeOptions::default();
    let threshold_percent = request.threshold_percent.unwrap_or(usual.threshold_percent);
    if threshold_percent > 100 {
        let why = format!("threshold_percent is {threshold_percent}: 100 at most");
        return Err(Status::invalid_argument(why));
    }
    if request.bytes_per_second_max == Some(0) {
        return Err(Status::invalid_argument("bytes_per_second_max is 0: 1 at least, or absent"));
    }
    Ok(ScavengeOptions {
        grace_s: request.grace_s.unwrap_or(usual.grace_s),
        threshold_percent,
        bytes_per_second_max: request.bytes_per_second_max,
    })
}

fn scavenge(scavenge: Scavenge) -> wire::Scavenge {
    let (state, error) = match scavenge.phase {
        Phase::Running => (State::Running, None),
        Phase::Done => (State::Done, None),
        Phase::Stopped => (State::Stopped, None),
        Phase::Failed(why) => (State::Failed, Some(why)),
    };
    wire::Scavenge {
        scavenge_id: scavenge.id.to_string(),
        state: state.into(),
        report: Some(report(scavenge.report)),
        error,
    }
}

fn report(report: ScavengeReport) -> wire::ScavengeReport {
    wire::ScavengeReport {
        segments: report.segments,
        segments_done: report.segments_done,
        segments_rewritten: report.segments_rewritten,
        events: report.events,
        events_removed: report.events_removed,
        events_emptied: report.events_emptied,
        bytes_freed: report.bytes_freed,
        segments_below_threshold: report.segments_below_threshold,
        bytes_below_threshold: report.bytes_below_threshold,
        events_in_grace: report.events_in_grace,
        unreadable: report.unreadable,
    }
}
