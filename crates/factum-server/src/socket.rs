//! A connection's socket, which acknowledges at once what its client holds the rest back for.
//!
//! A client that did not set `TCP_NODELAY` (as the crate `kurrentdb` 1.2) sends a call in small
//! pieces, and the next only when the one before is acknowledged (Nagle's algorithm); the system
//! acknowledges after 40 ms where nothing is to be sent back (delayed acknowledgement, RFC 1122).
//! Such a client is known by its first call, of which a piece comes that late; from then on what it
//! sends is acknowledged as it is read. Who does not wait pays nothing.

use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A piece of a body that comes so long after the one before was held back, it seems: Linux delays
/// an acknowledgement by 40 to 200 ms. A client that is only slow pays for it with a call of the
/// system a read.
pub(crate) const HELD_BACK: Range<Duration> = Duration::from_millis(20)..Duration::from_millis(300);

/// Whether the client of a connection holds back what is not acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct HoldsBack(Arc<AtomicBool>);

impl HoldsBack {
    /// It does.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    holds_back: HoldsBack,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, holds_back: HoldsBack) -> Self {
        Self { stream, holds_back }
    }
}

/// Acknowledges what was read. The system forgets that it was asked to, so it is asked each time;
/// one that cannot be asked is as slow as before.
fn acknowledge(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = stream.set_quickack(true);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.holds_back.get() && buffer.filled().len() > before {
            acknowledge(&self.stream);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
