//! Scavenging, as KurrentDB's clients and its console ask for it: with the defaults of ours, as the
//! protocol has no field for them. How many threads and from which chunk is not ours to say.

use super::{Service, decoded, errors};
use crate::operations::Asked;
use factum_log::rewrite::ScavengeOptions;
use factum_proto::event_store::client::operations::{
    ScavengeResp, StartScavengeReq, StopScavengeReq, operations_server::Operations,
    scavenge_resp::ScavengeResult,
};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl Operations for Service {
    async fn start_scavenge(
        &self,
        request: Request<StartScavengeReq>,
    ) -> Result<Response<ScavengeResp>, Status> {
        decoded(request);
        let asked = self.context.operations.start(ScavengeOptions::default())?;
        let Asked { id, was_running } = asked;
        let result = if was_running { ScavengeResult::InProgress } else { ScavengeResult::Started };
        Ok(answer(id.to_string(), result))
    }

    async fn stop_scavenge(
        &self,
        request: Request<StopScavengeReq>,
    ) -> Result<Response<ScavengeResp>, Status> {
        let id = decoded(request).options.map(|options| options.scavenge_id).unwrap_or_default();
        match self.context.operations.stop(Some(&id))? {
            Some(_) => Ok(answer(id, ScavengeResult::Stopped)),
            None => Err(errors::scavenge_not_found(&id)),
        }
    }
}

fn answer(scavenge_id: String, result: ScavengeResult) -> Response<ScavengeResp> {
    Response::new(ScavengeResp { scavenge_id, scavenge_result: result.into() })
}
