//! One connection, from its first byte to its end: HTTP/1.1 or HTTP/2 by what the client says
//! first, closed when it is idle for too long, and when the server is to stop.

use crate::{
    config::Limits,
    context::Context,
    router::Router,
    socket::{Outgoing, Socket},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use std::{
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};

/// Bytes that a client may send of one call before they are read.
const CALL_WINDOW_BYTES: u32 = 512 << 10;
/// The same, of all calls of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Calls that were reset and are not yet forgotten, by the client (CVE-2023-44487) and by us.
const PENDING_RESETS_MAX: usize = 20;
const OWN_RESETS_MAX: usize = 1_024;
/// Bytes of responses that are buffered for one call that the client does not read.
const SEND_BUFFER_BYTES_MAX: usize = 256 << 10;

/// Whether a connection is in use.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    busy: AtomicUsize,
    used: AtomicBool,
    /// Milliseconds after `opened`.
    last_ms: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            busy: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            last_ms: AtomicU64::new(0),
        })
    }

    /// A call begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.used.store(true, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// When the connection has been idle for too long, if nothing happens until then.
    fn idle_at(&self, limits: &Limits) -> Instant {
        if !self.used.load(Ordering::Relaxed) {
            return self.opened + limits.first_request_time_max;
        }
        let last = if self.busy.load(Ordering::Relaxed) == 0 {
            self.opened + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
        } else {
            Instant::now()
        };
        last + limits.idle_time_max
    }

    async fn idle(&self, limits: &Limits) {
        let mut at = self.idle_at(limits);
        while at > Instant::now() {
            sleep_until(at).await;
            at = self.idle_at(limits);
        }
    }
}

/// A call in progress.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let since = self.0.opened.elapsed().as_millis();
        self.0.last_ms.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.first_request_time_max)
        .max_buf_size((limits.header_bytes_max as usize).max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.calls_per_connection_max)
        .max_header_list_size(limits.header_bytes_max)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(OWN_RESETS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(limits.keep_alive_interval)
        .keep_alive_timeout(limits.keep_alive_time_max);
    builder
}

/// Turns of a connection, until its end; what each has made is sent at once.
async fn turns<F: Future>(mut connection: Pin<&mut F>, outgoing: &Outgoing) {
    poll_fn(|context| {
        let ended = connection.as_mut().poll(context).is_ready();
        // What cannot be sent now is sent at a later turn, of which the socket gives word.
        let failed = matches!(outgoing.poll_send(context), Poll::Ready(Err(_)));
        if ended || failed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Serves a connection until its end. Errors of a connection are its client's: they end it.
pub(crate) async fn serve(stream: TcpStream, router: Router, context: Context) {
    let limits = &context.config.limits;
    let activity = router.activity();
    let is_refusal = router.refuses();
    let builder = builder(limits);
    let socket = Socket::new(stream, router.holds_back());
    let outgoing = socket.outgoing();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), router));
    let mut stopping: Option<Instant> = None;
    loop {
        let end = async {
            match stopping {
                Some(since) => sleep_until(since + limits.drain_time_max).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = turns(connection.as_mut(), &outgoing) => return,
            () = end => return,
            () = context.drain.cancelled(), if stopping.is_none() => {}
            () = activity.idle(limits), if stopping.is_none() => {}
            // Long enough to be answered.
            () = sleep(limits.first_request_time_max), if is_refusal && stopping.is_none() => {}
        }
        connection.as_mut().graceful_shutdown();
        stopping = Some(Instant::now());
    }
}
