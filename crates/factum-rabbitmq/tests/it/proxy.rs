//! A network between client and broker that can be cut, and lets nobody through until it is whole.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    connections: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// A way to a broker.
    pub(crate) async fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut state = shared.lock().unwrap();
                if !state.is_cut {
                    state.connections.push(tokio::spawn(async move {
                        let Ok(mut broker) = TcpStream::connect(broker).await else { return };
                        // It ends with one of its ends.
                        let _ = copy_bidirectional(&mut client, &mut broker).await;
                    }));
                }
            }
        });
        Self { address, state }
    }

    /// Ends every connection; those that are made from now on end at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        state.connections.drain(..).for_each(|connection| connection.abort());
    }

    /// Lets everybody through again.
    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().is_cut = false;
    }
}
