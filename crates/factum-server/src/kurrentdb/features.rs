//! ServerFeatures: what a client may ask for, from the one table of RPCs.

use super::{Service, VERSION};
use crate::rpc::{RPCS, Rpc};
use factum_proto::event_store::client::{
    Empty,
    server_features::{SupportedMethod, SupportedMethods, server_features_server::ServerFeatures},
};
use tonic::{Request, Response, Status};

/// Methods of this protocol, in lower case as clients compare them.
fn supported() -> SupportedMethods {
    let is_ours = |rpc: &&Rpc| rpc.service.starts_with("event_store.client.");
    let method = |rpc: &Rpc| SupportedMethod {
        method_name: rpc.method.to_lowercase(),
        service_name: rpc.service.to_lowercase(),
        features: rpc.features.iter().map(|feature| (*feature).to_owned()).collect(),
    };
    SupportedMethods {
        methods: RPCS.iter().filter(is_ours).map(method).collect(),
        event_store_server_version: VERSION.into(),
    }
}

#[tonic::async_trait]
impl ServerFeatures for Service {
    async fn get_supported_methods(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<SupportedMethods>, Status> {
        Ok(Response::new(supported()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn batch_append_is_told_as_clients_look_for_it() {
        let told = supported();
        let batch = told.methods.iter().find(|method| method.method_name == "batchappend").unwrap();
        assert_eq!(batch.service_name, "event_store.client.streams.streams");
        assert_eq!(batch.features, ["deadline_duration"]);
        assert_eq!(told.event_store_server_version.split('.').count(), 3);
        assert!(told.methods.iter().all(|method| method.service_name.contains("client")));
    }
}
