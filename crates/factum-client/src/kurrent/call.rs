//! The calls of KurrentDB's protocol, with the headers that each carries.

use super::{decode::stream_out, filter::WINDOW_EVENTS, place::Server};
use crate::{address::Address, connect::once_more};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use factum_core::{Direction, Expected, Position, Revision, StreamName};
use factum_proto::event_store::client::{
    Empty,
    monitoring::{StatsReq, StatsResp, monitoring_client::MonitoringClient},
    server_features::server_features_client::ServerFeaturesClient,
    streams::{
        AppendReq, AppendResp, DeleteReq, ReadReq, ReadResp, TombstoneReq, append_req, delete_req,
        delete_resp,
        read_req::{
            Options,
            options::{
                AllOptions, ControlOption, CountOption, FilterOption, ReadDirection, StreamOption,
                StreamOptions, SubscriptionOptions, UuidOption, all_options::AllOption,
                stream_options::RevisionOption, uuid_option,
            },
        },
        streams_client::StreamsClient,
        tombstone_req, tombstone_resp,
    },
};
use std::{sync::Arc, time::Duration};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

/// The largest message of an answer: KurrentDB's largest record, and its names and positions.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// The revision that the protocol gives a tombstone.
pub(super) const TOMBSTONE_REVISION: u64 = i64::MAX as u64;

/// No stream gets this far, and servers refuse to be asked for what is further: an expectation of
/// it fails, and tells where the stream is.
pub(super) const NEVER_REACHED: Revision = Revision(TOMBSTONE_REVISION - 1);

/// The door to the server.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    streams: StreamsClient<Channel>,
    monitoring: MonitoringClient<Channel>,
    pub(super) server: Server,
    /// Of filters: after so many events a subscription tells how far it has looked.
    pub(super) window_events: u32,
    /// Host and port.
    pub(super) authority: Arc<str>,
    headers: Vec<(&'static str, MetadataValue<Ascii>)>,
    /// Of writes, where the URL gives one.
    deadline: Option<Duration>,
}

/// What is read: with a count once, without one for ever.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) source: StreamOption,
    pub(super) direction: Direction,
    pub(super) count: Option<u64>,
    pub(super) filter: FilterOption,
    /// Only the leader of a cluster may answer.
    pub(super) of_leader: bool,
}

impl Ask {
    /// Everything of a source, forwards.
    pub(super) fn of(source: StreamOption) -> Self {
        Self {
            source,
            direction: Direction::Forward,
            count: Some(u64::MAX),
            filter: FilterOption::NoFilter(Empty {}),
            of_leader: false,
        }
    }

    /// The last event of a source.
    pub(super) fn last(source: StreamOption, of_leader: bool) -> Self {
        Self { direction: Direction::Backward, count: Some(1), of_leader, ..Self::of(source) }
    }

    fn options(self) -> Options {
        let direction = match self.direction {
            Direction::Forward => ReadDirection::Forwards,
            Direction::Backward => ReadDirection::Backwards,
        };
        let ids = uuid_option::Content::Structured(Empty {});
        Options {
            read_direction: direction.into(),
            resolve_links: false,
            uuid_option: Some(UuidOption { content: Some(ids) }),
            // 1: a stream's last revision is told.
            control_option: Some(ControlOption { compatibility: 1 }),
            stream_option: Some(self.source),
            count_option: Some(match self.count {
                Some(count) => CountOption::Count(count),
                None => CountOption::Subscription(SubscriptionOptions {}),
            }),
            filter_option: Some(self.filter),
        }
    }
}

/// A stream, from a place.
pub(super) fn stream_from(stream: &StreamName, from: RevisionOption) -> StreamOption {
    StreamOption::Stream(StreamOptions {
        stream_identifier: Some(stream_out(stream)),
        revision_option: Some(from),
    })
}

/// The whole store, from a place.
pub(super) fn all_from(from: AllOption) -> StreamOption {
    StreamOption::All(AllOptions { all_option: Some(from) })
}

macro_rules! expectation {
    ($function:ident, $choice:path) => {
        /// What is expected, in the words of this message.
        pub(super) fn $function(expected: Option<Expected>) -> $choice {
            use $choice as Choice;
            match expected {
                None => Choice::Any(Empty {}),
                Some(Expected::NoStream) => Choice::NoStream(Empty {}),
                Some(Expected::Exists) => Choice::StreamExists(Empty {}),
                Some(Expected::At(revision)) => Choice::Revision(revision.0.min(NEVER_REACHED.0)),
            }
        }
    };
}

expectation!(append_expects, append_req::options::ExpectedStreamRevision);
expectation!(delete_expects, delete_req::options::ExpectedStreamRevision);
expectation!(tombstone_expects, tombstone_req::options::ExpectedStreamRevision);

impl Calls {
    pub(super) fn new(address: &Address, channel: Channel, server: Server) -> Self {
        let streams = StreamsClient::new(channel.clone());
        Self {
            streams: streams.max_decoding_message_size(MESSAGE_BYTES_MAX),
            monitoring: MonitoringClient::new(channel),
            server,
            window_events: match server {
                // It looks up what a filter selects, whatever the window.
                Server::Factum => 1,
                Server::Kurrent => WINDOW_EVENTS,
            },
            authority: address.authority().into(),
            headers: headers(address),
            deadline: address.default_deadline,
        }
    }

    fn request<T>(&self, message: T, of_leader: bool) -> Request<T> {
        let mut request = Request::new(message);
        let map = request.metadata_mut();
        for (key, value) in &self.headers {
            map.insert(*key, value.clone());
        }
        let of_leader = if of_leader { "true" } else { "false" };
        map.insert("requires-leader", MetadataValue::from_static(of_leader));
        request
    }

    fn writing<T>(&self, message: T) -> Request<T> {
        let mut request = self.request(message, true);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        request
    }

    pub(super) async fn read(&self, ask: Ask) -> Result<Streaming<ReadResp>, Status> {
        let (of_leader, message) = (ask.of_leader, ReadReq { options: Some(ask.options()) });
        let call = async || {
            let request = self.request(message.clone(), of_leader);
            self.streams.clone().read(request).await
        };
        once_more(call).await.map(Response::into_inner)
    }

    pub(super) async fn append(&self, messages: Vec<AppendReq>) -> Result<AppendResp, Status> {
        let call = async || {
            let request = self.writing(futures_util::stream::iter(messages.clone()));
            self.streams.clone().append(request).await
        };
        once_more(call).await.map(Response::into_inner)
    }

    /// Where the delete stands, if the server says.
    pub(super) async fn delete(
        &self,
        stream: &StreamName,
        expected: Option<Expected>,
    ) -> Result<Option<Position>, Status> {
        use delete_resp::PositionOption;
        let options = delete_req::Options {
            stream_identifier: Some(stream_out(stream)),
            expected_stream_revision: Some(delete_expects(expected)),
        };
        let message = DeleteReq { options: Some(options) };
        let call = async || self.streams.clone().delete(self.writing(message.clone())).await;
        match once_more(call).await?.into_inner().position_option {
            Some(PositionOption::Position(at)) => Ok(Some(self.server.ours(at.commit_position))),
            _ => Ok(None),
        }
    }

    /// Where the tombstone stands, if the server says.
    pub(super) async fn tombstone(
        &self,
        stream: &StreamName,
        expected: Option<Expected>,
    ) -> Result<Option<Position>, Status> {
        use tombstone_resp::PositionOption;
        let options = tombstone_req::Options {
            stream_identifier: Some(stream_out(stream)),
            expected_stream_revision: Some(tombstone_expects(expected)),
        };
        let message = TombstoneReq { options: Some(options) };
        let call = async || self.streams.clone().tombstone(self.writing(message.clone())).await;
        match once_more(call).await?.into_inner().position_option {
            Some(PositionOption::Position(at)) => Ok(Some(self.server.ours(at.commit_position))),
            _ => Ok(None),
        }
    }

    /// The server's figures of now.
    pub(super) async fn statistics(&self) -> Result<StatsResp, Status> {
        /// Never reached: only the first answer is waited for.
        const PERIOD_MS: u64 = 60_000;
        let message = StatsReq { use_metadata: false, refresh_time_period_in_ms: PERIOD_MS };
        let call = async || self.monitoring.clone().stats(self.request(message, false)).await;
        let answer = once_more(call).await?;
        Ok(answer.into_inner().message().await?.unwrap_or_default())
    }
}

/// What every call carries.
fn headers(address: &Address) -> Vec<(&'static str, MetadataValue<Ascii>)> {
    const ASCII: &str = "base64, and what the URL's parser let through, is printable";
    let mut headers = Vec::new();
    if let Some(who) = &address.credentials {
        let pair = BASE64_STANDARD.encode(format!("{}:{}", who.user, who.password));
        let mut value: MetadataValue<Ascii> = format!("Basic {pair}").parse().expect(ASCII);
        value.set_sensitive(true);
        headers.push(("authorization", value));
    }
    if let Some(name) = &address.connection_name {
        headers.push(("connection-name", name.parse().expect(ASCII)));
    }
    headers
}

/// The server's version, "26.1.0": the first call that a client of the protocol makes.
pub(super) async fn version(address: &Address, channel: &Channel) -> Result<String, Status> {
    let mut request = Request::new(Empty {});
    for (key, value) in headers(address) {
        request.metadata_mut().insert(key, value);
    }
    let answer = ServerFeaturesClient::new(channel.clone()).get_supported_methods(request).await?;
    Ok(answer.into_inner().event_store_server_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_are_sent_as_basic_authorization() {
        let address = Address::kurrent("esdb://me:p%20w@h?tls=false&connectionName=x").unwrap();
        let headers = headers(&address);
        assert_eq!(headers[0].1, "Basic bWU6cCB3");
        assert_eq!((headers[1].0, headers[1].1.to_str().unwrap()), ("connection-name", "x"));
    }
}
