//! What a client asks about the server: features, gossip, numbers; and what is not there.

use crate::harness::*;
use factum_proto::event_store::client::{
    Empty,
    gossip::{gossip_client::GossipClient, member_info::VNodeState},
    monitoring::{StatsReq, monitoring_client::MonitoringClient},
    server_features::server_features_client::ServerFeaturesClient,
};
use factum_proto::grpc::health::v1::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use factum_server::{HostPort, RPCS};
use std::path::Path;
use tonic::{Code, codegen::http::uri::PathAndQuery};

#[tokio::test]
async fn features_list_every_method_of_the_protocol() {
    let server = Running::start().await;
    let mut client = ServerFeaturesClient::new(server.channel().await);
    let told = soon(client.get_supported_methods(Empty {})).await.unwrap().into_inner();
    assert_eq!(told.event_store_server_version, "26.1.0");
    let ours = RPCS.iter().filter(|rpc| rpc.service.starts_with("event_store.")).count();
    assert_eq!(told.methods.len(), ours);
    let read =
        told.methods.iter().find(|m| m.method_name == "read" && m.service_name.contains("streams"));
    assert_eq!(read.unwrap().features, ["position", "events"]);
}

/// What the `.proto` files declare, as (service, method).
fn declared(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            declared(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let word = |line: &str, before: &str| {
            let rest = line.trim().strip_prefix(before)?.trim_start();
            Some(
                rest.split(|c: char| !(c.is_alphanumeric() || "._".contains(c))).next()?.to_owned(),
            )
        };
        let package = text.lines().find_map(|line| word(line, "package ")).unwrap();
        let mut service = String::new();
        for line in text.lines() {
            if let Some(name) = word(line, "service ") {
                service = format!("{package}.{name}");
            }
            found.extend(word(line, "rpc ").map(|method| (service.clone(), method)));
        }
    }
}

#[test]
fn the_table_of_rpcs_has_each_that_is_declared() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../factum-proto/proto");
    let mut declared_rpcs = Vec::new();
    declared(&proto, &mut declared_rpcs);
    let mut table: Vec<_> =
        RPCS.iter().map(|rpc| (rpc.service.to_owned(), rpc.method.to_owned())).collect();
    declared_rpcs.sort();
    table.sort();
    assert_eq!(table, declared_rpcs);
}

async fn gossiped(server: &Running) -> (String, u32) {
    let mut client = GossipClient::new(server.channel().await);
    let info = soon(client.read(Empty {})).await.unwrap().into_inner();
    let [member] = &info.members[..] else { panic!("{info:?}") };
    assert!(member.is_alive && member.state() == VNodeState::Leader);
    assert!(member.instance_id.is_some() && member.time_stamp > 0);
    let at = member.http_end_point.clone().unwrap();
    (at.address, at.port)
}

#[tokio::test]
async fn gossip_tells_an_address_that_the_client_reaches() {
    let server = Running::start().await;
    assert_eq!(gossiped(&server).await, ("127.0.0.1".into(), u32::from(server.address.port())));
    let advertise = HostPort { host: "events.example".into(), port: 7 };
    let server = Running::limited(|config| config.advertise = Some(advertise)).await;
    assert_eq!(gossiped(&server).await, ("events.example".into(), 7));
}

#[tokio::test]
async fn numbers_come_again_and_again() {
    let server = Running::start().await;
    append(&mut server.streams().await, "a-1", ANY, 1..=3).await;
    let mut client = MonitoringClient::new(server.channel().await);
    let request = StatsReq { use_metadata: false, refresh_time_period_in_ms: 0 };
    let mut stats = soon(client.stats(request)).await.unwrap().into_inner();
    for _ in 0..2 {
        let told = soon(stats.message()).await.unwrap().unwrap();
        assert_eq!(told.stats["factum-head_position"], "3");
    }
}

#[tokio::test]
async fn health_is_told_as_grpc_has_it() {
    let mut server = Running::start().await;
    let mut client = HealthClient::new(server.channel().await);
    let of = |service: &str| HealthCheckRequest { service: service.into() };
    for service in ["", "factum.v1.Store", "umadb.v1.DCB"] {
        let told = soon(client.check(of(service))).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving);
    }
    let status = soon(client.check(of("nothing"))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut unknown = soon(client.watch(of("nothing"))).await.unwrap().into_inner();
    let told = soon(unknown.message()).await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::ServiceUnknown);
    let mut watch = soon(client.watch(of(""))).await.unwrap().into_inner();
    let told = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::Serving);
    server.stop();
    assert_eq!(soon(watch.message()).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented() {
    let server = Running::start().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    for path in [
        "/event_store.client.persistent_subscriptions.PersistentSubscriptions/List",
        "/event_store.client.projections.Projections/Create",
        "/event_store.client.users.Users/Details",
        "/event_store.client.operations.Operations/StartScavenge",
        "/event_store.client.streams.Streams/Nothing",
        "/kurrentdb.protocol.v2.streams.StreamsService/AppendSession",
        "/factum.v1.Store/Nothing",
    ] {
        client.ready().await.unwrap();
        let codec = tonic_codec();
        let path = PathAndQuery::from_static(path);
        let called = soon(client.unary(tonic::Request::new(Empty {}), path, codec)).await;
        let response: Result<tonic::Response<Empty>, _> = called;
        assert_eq!(response.unwrap_err().code(), Code::Unimplemented);
    }
}

fn tonic_codec() -> tonic_prost::ProstCodec<Empty, Empty> {
    tonic_prost::ProstCodec::default()
}
