//! Factum's server, one call of `factum.v1` an append: what a client in another language does that
//! was generated from the `.proto` files and has no stream of appends.

use super::{Client, EVENT_TYPE, Peer, Subject, Tally};
use crate::payload::{Random, unique};
use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use factum_proto::factum::v1::{
    self,
    check::{Check, StreamCheck},
    expected::Expected,
    store_client::StoreClient,
};
use tonic::transport::{Channel, Endpoint};

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(format!("http://{authority}"))
    }
}

#[async_trait]
impl Peer for Server {
    async fn client(&self) -> Result<Box<dyn Client>> {
        let channel = Endpoint::from_shared(self.0.clone())?.connect().await?;
        Ok(Box::new(Session { stub: StoreClient::new(channel), ids: Random(unique()) }))
    }
}

struct Session {
    stub: StoreClient<Channel>,
    ids: Random,
}

impl Session {
    fn request(&mut self, subject: &Subject, events: &[Bytes]) -> v1::AppendRequest {
        let event = |data: &Bytes| v1::NewEvent {
            id: self.id(),
            stream: 0,
            r#type: 1,
            content_type: v1::ContentType::Json.into(),
            data: data.clone(),
            ..v1::NewEvent::default()
        };
        let events = events.iter().map(event).collect();
        let last = subject.count.checked_sub(1);
        let expected = last.map_or(Expected::NoStream(v1::Unit {}), Expected::At);
        let expected = Some(v1::Expected { expected: Some(expected) });
        let check = Check::Stream(StreamCheck { stream: subject.name.clone(), expected });
        v1::AppendRequest {
            names: vec![subject.name.clone(), EVENT_TYPE.to_owned()],
            events,
            checks: vec![v1::Check { check: Some(check) }],
            tracking: None,
        }
    }

    fn id(&mut self) -> Bytes {
        let id = [self.ids.next().to_be_bytes(), self.ids.next().to_be_bytes()];
        Bytes::copy_from_slice(id.as_flattened())
    }
}

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, events: &[Bytes]) -> Result<()> {
        let request = self.request(subject, events);
        self.stub.append(request).await?;
        subject.count += events.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, _: &mut Subject) -> Result<Tally> {
        bail!("reads have only one way: the peer factum-v1")
    }

    async fn read_all(&mut self, _: u64) -> Result<Tally> {
        bail!("reads have only one way: the peer factum-v1")
    }
}
