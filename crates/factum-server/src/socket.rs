//! A connection's socket, which writes at once what one turn of its connection makes, and
//! acknowledges at once what its client holds the rest back for.
//!
//! HTTP/2 writes what follows a block of data on its own: the end of a small answer would be a call
//! of the system more for the server, and woken once more for nothing, its client. So what is
//! written is gathered, and goes out when the connection has nothing more to do
//! ([`Outgoing::poll_send`]).
//!
//! A client that did not set `TCP_NODELAY` (as the crate `kurrentdb` 1.2) sends a call in small
//! pieces, and the next only when the one before is acknowledged (Nagle's algorithm); the system
//! acknowledges after 40 ms where nothing is to be sent back (delayed acknowledgement, RFC 1122).
//! Such a client is known by its first call, of which a piece comes that late; from then on what it
//! sends is acknowledged as it is read. Who does not wait pays nothing.

use bytes::Buf;
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Bytes that are gathered; what is more goes out at once.
const GATHERED_BYTES_MAX: usize = 16 << 10;
/// Of an idle connection no more memory than this is kept.
const KEPT_BYTES_MAX: usize = 4 << 10;

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

/// What is on its way out.
#[derive(Debug)]
struct Out {
    half: OwnedWriteHalf,
    gathered: VecDeque<u8>,
}

impl Out {
    /// Sends what is gathered.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gathered.has_remaining() {
            let sent = ready!(Pin::new(&mut self.half).poll_write(context, self.gathered.chunk()))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(sent);
        }
        if self.gathered.capacity() > KEPT_BYTES_MAX {
            self.gathered = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Gathers, or, where that is too much, sends all of it and these after.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if self.gathered.len() + bytes > GATHERED_BYTES_MAX {
            ready!(self.poll_send(context))?;
        }
        if bytes > GATHERED_BYTES_MAX {
            return Pin::new(&mut self.half).poll_write_vectored(context, slices);
        }
        slices.iter().for_each(|slice| self.gathered.extend(&**slice));
        Poll::Ready(Ok(bytes))
    }
}

/// The side that sends what the connection's turn has made.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Arc<Mutex<Out>>);

impl Outgoing {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends it. Pending: the peer takes no more now, and the task is woken when it does.
    pub(crate) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out().poll_send(context)
    }
}

/// The socket.
#[derive(Debug)]
pub(crate) struct Socket {
    half: OwnedReadHalf,
    outgoing: Outgoing,
    holds_back: HoldsBack,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, holds_back: HoldsBack) -> Self {
        let (half, write) = stream.into_split();
        let out = Out { half: write, gathered: VecDeque::new() };
        Self { half, outgoing: Outgoing(Arc::new(Mutex::new(out))), holds_back }
    }

    /// Who sends what is written to it.
    pub(crate) fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
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
        ready!(Pin::new(&mut self.half).poll_read(context, buffer))?;
        if self.holds_back.get() && buffer.filled().len() > before {
            acknowledge(self.half.as_ref());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.out().poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.out().poll_write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing yet: the connection's turn may make more.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.outgoing.out();
        ready!(out.poll_send(context))?;
        Pin::new(&mut out.half).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::new(listener.accept().await.unwrap().0, HoldsBack::default()), peer)
    }

    async fn received(peer: &mut TcpStream, bytes: usize) -> Vec<u8> {
        let mut received = vec![0; bytes];
        peer.read_exact(&mut received).await.unwrap();
        received
    }

    #[tokio::test]
    async fn what_a_turn_makes_is_sent_at_its_end() {
        let (mut socket, mut peer) = pair().await;
        for part in ["head", "data", "trailers"] {
            socket.write_all(part.as_bytes()).await.unwrap();
            socket.flush().await.unwrap();
        }
        let outgoing = socket.outgoing();
        assert_eq!(outgoing.out().gathered.len(), 16, "nothing was sent yet");
        poll_fn(|context| outgoing.poll_send(context)).await.unwrap();
        assert_eq!(received(&mut peer, 16).await, b"headdatatrailers");
    }

    #[tokio::test]
    async fn what_is_too_much_to_gather_goes_out_in_its_order() {
        let (mut socket, mut peer) = pair().await;
        let sizes = [1, GATHERED_BYTES_MAX, 3, 4 << 20, 5, GATHERED_BYTES_MAX + 1, 7];
        let parts: Vec<Vec<u8>> =
            sizes.iter().zip(b'a'..).map(|(size, byte)| vec![byte; *size]).collect();
        let sent = parts.concat();
        let writing = tokio::spawn(async move {
            for part in &parts {
                socket.write_all(part).await.unwrap();
            }
            let outgoing = socket.outgoing();
            poll_fn(|context| outgoing.poll_send(context)).await.unwrap();
            socket
        });
        assert!(received(&mut peer, sent.len()).await == sent);
        drop(writing.await.unwrap());
    }

    #[tokio::test]
    async fn what_is_gathered_is_sent_before_the_end() {
        let (mut socket, mut peer) = pair().await;
        socket.write_all(b"last words").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut received = String::new();
        peer.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "last words");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_holds_the_writer_up() {
        let (mut socket, mut peer) = pair().await;
        let part = [b'x'; 1000];
        let mut written = 0;
        loop {
            let turn = poll_fn(|context| {
                let _ = socket.outgoing().poll_send(context);
                Poll::Ready(Pin::new(&mut socket).poll_write(context, &part))
            });
            match turn.await {
                Poll::Ready(bytes) => written += bytes.unwrap(),
                Poll::Pending => break,
            }
            assert!(written < 1 << 30, "it is gathered without end");
        }
        assert!(socket.outgoing().out().gathered.len() <= GATHERED_BYTES_MAX);
        let reading = tokio::spawn(async move { received(&mut peer, written).await });
        let outgoing = socket.outgoing();
        poll_fn(|context| outgoing.poll_send(context)).await.unwrap();
        assert!(reading.await.unwrap().iter().all(|byte| *byte == b'x'));
    }
}
