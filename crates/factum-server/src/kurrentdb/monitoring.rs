//! Monitoring: the numbers of store and server, now and again after each period.

use super::{Service, decoded};
use crate::{
    context::Context,
    grpc::{Protocol, Responses, Subscription},
    statistics,
};
use factum_proto::event_store::client::monitoring::{
    StatsReq, StatsResp, monitoring_server::Monitoring,
};
use futures_util::stream;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// The shortest period, whatever the client asks for.
const PERIOD_MIN: Duration = Duration::from_millis(100);

async fn stats(context: &Context) -> StatsResp {
    let numbers = statistics::gather(context).await.numbers.into_iter();
    let stats = numbers.map(|one| (format!("factum-{}", one.name), one.value.to_string()));
    StatsResp { stats: stats.collect() }
}

#[tonic::async_trait]
impl Monitoring for Service {
    type StatsStream = Responses<StatsResp>;

    async fn stats(
        &self,
        request: Request<StatsReq>,
    ) -> Result<Response<Self::StatsStream>, Status> {
        let period = Duration::from_millis(decoded(request).refresh_time_period_in_ms);
        let period = period.max(PERIOD_MIN);
        let first = (self.context.clone(), Duration::ZERO);
        let responses = stream::unfold(first, move |(context, wait)| async move {
            tokio::time::sleep(wait).await;
            let stats = stats(&context).await;
            Some((Ok(stats), (context, period)))
        });
        let responses = Box::pin(responses);
        let subscription = Subscription::new(&self.context, Protocol::KurrentDb, responses)?;
        Ok(Response::new(Box::pin(subscription)))
    }
}
