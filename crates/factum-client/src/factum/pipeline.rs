//! Many appends in flight on one call: each request takes what is ready, as do the answers.
//!
//! Apart from the client, because it is the one place with a life of its own: a task that hands out
//! answers, and a queue that HTTP/2 pulls from as the server's window allows. What must hold: every
//! append is answered exactly once. Whatever was handed to the connection and is not answered when
//! the call ends is `Unknown`; whatever was still in the queue was not sent, and goes on the next.

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

/// How often an append that was not sent looks for another call.
const ATTEMPTS_MAX: u32 = 3;

/// Bytes of appends after which a message is full.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

type Outcome = Result<Receipt, AppendError>;

/// What becomes of an append.
enum Fate {
    Answered(Outcome),
    /// The call has ended, and this was not sent on it.
    NotSent(AppendRequest),
}

/// An append, and who waits for it.
struct Waiting {
    request: AppendRequest,
    fate: oneshot::Sender<Fate>,
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

    pub(super) async fn append(&self, mut request: AppendRequest) -> Outcome {
        // The call may end between finding its queue and being sent; that of the next is empty.
        for _ in 0..ATTEMPTS_MAX {
            let (fate, awaited) = oneshot::channel();
            if let Err(mpsc::error::SendError(back)) =
                self.queue().send(Waiting { request, fate }).await
            {
                request = back.request;
                continue;
            }
            match awaited.await {
                Ok(Fate::Answered(outcome)) => return outcome,
                Ok(Fate::NotSent(back)) => request = back,
                Err(_) => return Err(refusal::unknown("the runtime of the client has ended")),
            }
        }
        let why = format!("the connection to {} is lost again and again", self.authority);
        Err(AppendError::Unavailable { why: why.into() })
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
    let (sent, queue) = (Sent::default(), Arc::new(Mutex::new(queue)));
    let requests = Requests { queue: queue.clone(), sent: sent.clone(), next_tag: 0 };
    let end = match client.append_stream(requests).await {
        // Nothing was taken from the queue, so nothing is unknown: it is for the next call.
        Err(status) if connect::found_it_closed(&status) => refusal::unknown("it was closed"),
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
    turn_away(&mut lock(&queue), &end);
}

/// What was not sent: again on another call, unless there is no server for it.
fn turn_away(queue: &mut mpsc::Receiver<Waiting>, end: &AppendError) {
    queue.close();
    while let Ok(Waiting { request, fate }) = queue.try_recv() {
        _ = fate.send(match end {
            AppendError::Unknown { .. } => Fate::NotSent(request),
            _ => Fate::Answered(Err(end.clone())),
        });
    }
}

/// Who waits for which tag; `None` when the call has ended.
#[derive(Clone)]
struct Sent(Arc<Mutex<Option<ByTag>>>);

type ByTag = HashMap<u64, oneshot::Sender<Fate>>;

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
            if let Some(fate) = sent.as_mut().and_then(|sent| sent.remove(&answer.tag)) {
                _ = fate.send(Fate::Answered(outcome(answer.result)));
            }
        }
    }

    fn end(&self, error: &AppendError) {
        let sent = lock(&self.0).take().unwrap_or_default();
        for (_, fate) in sent {
            _ = fate.send(Fate::Answered(Err(error.clone())));
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
    /// Shared with who turns away what is left in it when the call has ended.
    queue: Arc<Mutex<mpsc::Receiver<Waiting>>>,
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
        let mut queue = lock(&this.queue);
        let (mut appends, mut bytes) = (Vec::new(), 0);
        while appends.len() < MESSAGE_APPENDS_MAX && bytes < MESSAGE_BYTES_MAX {
            match queue.poll_recv(context) {
                // Its caller has given up, and it was not sent.
                Poll::Ready(Some(waiting)) if waiting.fate.is_closed() => {}
                Poll::Ready(Some(waiting)) => {
                    bytes += waiting.request.encoded_len();
                    appends.push(Tagged { tag: this.next_tag, append: Some(waiting.request) });
                    sent.insert(this.next_tag, waiting.fate);
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
