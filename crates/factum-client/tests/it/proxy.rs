//! A network between client and server that loses what the test wants it to lose.

use crate::support::RUNTIME;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// Passes bytes on, both ways.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// What the server says is lost.
    is_mute: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    /// A proxy to a server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
        let proxy = Self {
            address: listener.local_addr().expect("it is bound"),
            is_mute: Arc::default(),
            connections: Arc::default(),
        };
        let (is_mute, connections) = (proxy.is_mute.clone(), proxy.connections.clone());
        RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connection = RUNTIME.spawn(pass(client, server, is_mute.clone()));
                connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
        });
        proxy
    }

    /// From now on nothing comes back; or all does again.
    pub(crate) fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::SeqCst);
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.drain(..).for_each(|connection| connection.abort());
    }
}

async fn pass(client: TcpStream, server: SocketAddr, is_mute: Arc<AtomicBool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let never = Arc::new(AtomicBool::new(false));
    tokio::join!(copy(from_client, to_server, never), copy(from_server, to_client, is_mute));
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_mute: Arc<AtomicBool>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let lost = is_mute.load(Ordering::SeqCst);
        if !lost && to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
