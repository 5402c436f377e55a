//! Many appends in flight on one call: each request takes what is ready, as do the answers.
//!
//! Apart from the client, because it is the one place with a life of its own: a task that hands out
//! answers, and a queue that HTTP/2 pulls from as the server's window allows. What must hold: every
//! append is answered exactly once. Whatever was handed to the connection and is not answered when
//! the call ends is `Unknown`; whatever was still in the queue was not sent.

use super::{decode, refusal};
use crate::connect;
use factum_core::{AppendError, Receipt};
use factum_proto::factum::v1::{
    self, AppendRequest, AppendStreamRequest,
    append_stream_request::Tagged,
    append_stream_response::{Answer, answer},
    store_client::StoreClient,
};
use futures_core::Stream;
use prost::Message as _;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tonic::transport::Channel;

/// Appends that wait for the connection to take them; further ones wait in their callers.
const QUEUE_APPENDS_MAX: usize = 1024;

/// Appends in one message, at most.
const MESSAGE_APPENDS_MAX: usize = 256;

/// Bytes of appends after which a message is full.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

type Outcome = Result<Receipt, AppendError>;

/// An append, and who waits for it.
struct Waiting {
    request: AppendRequest,
    answer: oneshot::Sender<Outcome>,
}

/// The door: opens the call when it is first needed, and again after it has ended.
pub(super) struct Pipeline {
    client: StoreClient<Channel>,
    authority: Arc<str>,
    runtime: Handle,
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
}

impl Pipeline {
    /// For use inside of a runtime, on which the calls will live.
    pub(super) fn new(client: StoreClient<Channel>, authority: Arc<str>) -> Self {
        Self { client, authority, runtime: Handle::current(), queue: Mutex::new(None) }
    }

    pub(super) async fn append(&self, request: AppendRequest) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let mut waiting = Waiting { request, answer };
        // The call may end between finding its queue and getting a place in it; the queue of the
        // next call is empty, and so has one.
        for _ in 0..2 {
            match self.queue().send(waiting).await {
                Ok(()) => return outcome.await.unwrap_or_else(|_| Err(self.not_sent())),
                Err(mpsc::error::SendError(back)) => waiting = back,
            }
        }
        Err(self.not_sent())
    }

    fn not_sent(&self) -> AppendError {
        let why = format!("the connection to {} was lost before this was sent", self.authority);
        AppendError::Unavailable { why: why.into() }
    }

    fn queue(&self) -> mpsc::Sender<Waiting> {
        let mut queue = lock(&self.queue);
        if let Some(open) = queue.as_ref().filter(|queue| !queue.is_closed()) {
            return open.clone();
        }
        let (sender, receiver) = mpsc::channel(QUEUE_APPENDS_MAX);
        self.runtime.spawn(carry(self.client.clone(), receiver, self.authority.clone()));
        *queue = Some(sender.clone());
        sender
    }
}

/// Opens a call and hands out its answers until it ends.
async fn carry(
    mut client: StoreClient<Channel>,
    queue: mpsc::Receiver<Waiting>,
    authority: Arc<str>,
) {
    let sent = Sent::default();
    let requests = Requests { queue, sent: sent.clone(), next_tag: 0 };
    let end = match client.append_stream(requests).await {
        Err(status) => refusal::append_error(&status, &authority),
        Ok(response) => {
            let mut answers = response.into_inner();
            loop {
                match answers.message().await {
                    Ok(Some(message)) => sent.answer(message.answers),
                    Ok(None) => break refusal::unknown("the server ended the call"),
                    // Some of them may have been done by then, whatever the status says.
                    Err(status) => break refusal::unknown(connect::explain(&status)),
                }
            }
        }
    };
    sent.end(&end);
}

/// Who waits for which tag; `None` when the call has ended.
#[derive(Clone)]
struct Sent(Arc<Mutex<Option<ByTag>>>);

type ByTag = HashMap<u64, oneshot::Sender<Outcome>>;

impl Default for Sent {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(ByTag::new()))))
    }
}

impl Sent {
    fn answer(&self, answers: Vec<Answer>) {
        let mut sent = lock(&self.0);
        for answer in answers {
            // An answer without its question is dropped: its caller is not there any more.
            if let Some(waits) = sent.as_mut().and_then(|sent| sent.remove(&answer.tag)) {
                _ = waits.send(outcome(answer.result));
            }
        }
    }

    fn end(&self, error: &AppendError) {
        let sent = lock(&self.0).take().unwrap_or_default();
        for (_, waits) in sent {
            _ = waits.send(Err(error.clone()));
        }
    }
}

fn outcome(result: Option<answer::Result>) -> Outcome {
    match result {
        Some(answer::Result::Receipt(receipt)) => decode::receipt(receipt),
        Some(answer::Result::Error(error)) => Err(refusal::answered(error)),
        None => Err(refusal::unknown("an answer without a result")),
    }
}

/// The requests of one call: pulled by the connection as the server's window allows.
struct Requests {
    queue: mpsc::Receiver<Waiting>,
    sent: Sent,
    next_tag: u64,
}

impl Stream for Requests {
    type Item = AppendStreamRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let sent = this.sent.0.clone();
        let mut sent = lock(&sent);
        let Some(sent) = sent.as_mut() else {
            return Poll::Ready(None);
        };
        let (mut appends, mut bytes) = (Vec::new(), 0);
        while appends.len() < MESSAGE_APPENDS_MAX && bytes < MESSAGE_BYTES_MAX {
            match this.queue.poll_recv(context) {
                Poll::Ready(Some(waiting)) => {
                    bytes += waiting.request.encoded_len();
                    appends.push(Tagged { tag: this.next_tag, append: Some(waiting.request) });
                    sent.insert(this.next_tag, waiting.answer);
                    this.next_tag += 1;
                }
                Poll::Ready(None) if appends.is_empty() => return Poll::Ready(None),
                Poll::Pending if appends.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(v1::AppendStreamRequest { appends }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
