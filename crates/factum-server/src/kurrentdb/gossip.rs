//! Gossip: this server is the only member, the leader or a read-only replica, at an address that
//! the client can reach.

use super::{
    Service,
    events::{IdForm, id_out},
};
use crate::{clock, config::HostPort, context::Reached};
use factum_proto::event_store::client::{
    Empty,
    gossip::{ClusterInfo, EndPoint, MemberInfo, gossip_server::Gossip, member_info::VNodeState},
};
use http::uri::Authority;
use tonic::{Request, Response, Status};

/// Where the client reached the server: the address that it named, or else the socket's.
fn reached(reached: &Reached) -> HostPort {
    let named = reached.authority.as_deref().and_then(|text| text.parse::<Authority>().ok());
    let local = reached.local;
    match named {
        Some(named) if !named.host().is_empty() => HostPort {
            host: named.host().trim_matches(['[', ']']).to_owned(),
            port: named.port_u16().unwrap_or(local.port()),
        },
        _ => HostPort { host: local.ip().to_string(), port: local.port() },
    }
}

#[tonic::async_trait]
impl Gossip for Service {
    async fn read(&self, request: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        let reached = request.extensions().get::<Reached>().map(reached);
        let listen = self.context.config.listen;
        let otherwise = || HostPort { host: listen.ip().to_string(), port: listen.port() };
        let advertised = self.context.config.advertise.clone();
        let HostPort { host, port } = advertised.or(reached).unwrap_or_else(otherwise);
        let is_replica = self.context.log.as_ref().is_some_and(|log| log.lag().is_some());
        let state = if is_replica { VNodeState::ReadOnlyReplica } else { VNodeState::Leader };
        let member = MemberInfo {
            instance_id: Some(id_out(self.context.instance, IdForm::Structured)),
            time_stamp: clock::now_ns() / 100,
            state: state.into(),
            is_alive: true,
            http_end_point: Some(EndPoint { address: host, port: port.into() }),
        };
        Ok(Response::new(ClusterInfo { members: vec![member] }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(authority: Option<&str>, host: &str, port: u16) {
        let authority = authority.map(str::to_owned);
        let local = "127.0.0.1:2113".parse().unwrap();
        assert_eq!(
            reached(&Reached { authority, local, peer: None }),
            HostPort { host: host.into(), port }
        );
    }

    #[test]
    fn the_address_is_the_one_that_was_used() {
        check(Some("events.example:80"), "events.example", 80);
        check(Some("events.example"), "events.example", 2113);
        check(Some("[::1]:9"), "::1", 9);
        check(None, "127.0.0.1", 2113);
        check(Some(""), "127.0.0.1", 2113);
    }
}
