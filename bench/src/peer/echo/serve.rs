//! The echo's server.

use super::{
    CONNECTION_WINDOW, EVENT_TYPE, MESSAGE_MAX, STREAM_WINDOW,
    log::Log,
    message::{AppendRequest, AppendResponse, Event, ReadRequest, ReadResponse},
    stub::echo_server::{Echo, EchoServer},
};
use crate::payload::numbered;
use anyhow::Result;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use std::{path::Path, pin::Pin};
use tonic::{Request, Response, Status, Streaming, async_trait, transport::Server};

/// Appends of one call that may wait for the log.
const UNANSWERED_MAX: usize = 1024;

/// Bytes of an event's data in what is read.
const DATA_BYTES: usize = 256;

/// Serves until the process is stopped.
pub(crate) async fn serve(listen: &str, log: Option<&Path>) -> Result<()> {
    let service = Service { log: log.map(Log::start).transpose()? };
    let service = EchoServer::new(service).max_decoding_message_size(MESSAGE_MAX);
    let server = Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let mut server = server;
    Ok(server.add_service(service).serve(listen.parse()?).await?)
}

#[derive(Clone)]
struct Service {
    log: Option<Log>,
}

impl Service {
    async fn answer(&self, request: AppendRequest) -> Result<AppendResponse, Status> {
        let echoed = request.expected + request.events.len() as u64;
        let Some(log) = &self.log else { return Ok(AppendResponse { position: echoed }) };
        let written = log.append(request).await;
        let position = written.ok_or_else(|| Status::aborted("the stream has another length"))?;
        Ok(AppendResponse { position })
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl Echo for Service {
    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        Ok(Response::new(self.answer(request.into_inner()).await?))
    }

    type AppendStreamStream = Answers<AppendResponse>;

    /// Requests go to the log in order, and are answered in order.
    async fn append_stream(
        &self,
        requests: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let service = self.clone();
        let answer = move |request: Result<AppendRequest, Status>| {
            let service = service.clone();
            async move { service.answer(request?).await }
        };
        let answers = requests.into_inner().map(answer).buffered(UNANSWERED_MAX);
        Ok(Response::new(Box::pin(answers)))
    }

    type ReadStream = Answers<ReadResponse>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let ReadRequest { count, batch } = request.into_inner();
        let batch = u64::from(batch.max(1));
        let data = numbered(1, DATA_BYTES);
        let batches = (0..count.div_ceil(batch)).map(move |number| {
            let positions = number * batch..count.min((number + 1) * batch);
            let events = positions.map(|position| event(position, &data)).collect();
            Ok(ReadResponse { events })
        });
        Ok(Response::new(Box::pin(stream::iter(batches))))
    }
}

fn event(position: u64, data: &Bytes) -> Event {
    Event {
        id: Bytes::from_static(&[7; 16]),
        event_type: EVENT_TYPE.to_owned(),
        data: data.clone(),
        metadata: Bytes::new(),
        position,
        revision: position,
    }
}
