//! The connection over which deliveries are settled: one of its own, which is not made again when
//! it is lost, but replaced.
//!
//! The client keeps what is sent while there is no connection, and sends it over the next one. An
//! acknowledgement of which a handler was told that it is lost would take effect later, and the
//! message would not come again. With a connection its queue goes too.

use crate::connect::{Link, described, options};
use async_nats::{Client, Event, connection::State};
use std::{fmt, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

/// The client tries each server once before it gives up: so soon that one that was killed is not
/// back.
const LAST_TRY: Duration = Duration::from_millis(20);

/// The present connection, and whether it is lost.
#[derive(Default)]
pub(crate) struct Acks {
    present: Mutex<Option<(Client, watch::Receiver<bool>)>>,
}

impl fmt::Debug for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acks").finish_non_exhaustive()
    }
}

impl Acks {
    /// The connection, made where there is none; or why there is none.
    pub(crate) async fn get(&self, link: &Link) -> Result<(Client, watch::Receiver<bool>), String> {
        let mut present = self.present.lock().await;
        if let Some((client, lost)) = &*present
            && client.connection_state() == State::Connected
            && !*lost.borrow()
        {
            return Ok((client.clone(), lost.clone()));
        }
        *present = None;
        if !link.connected(Duration::ZERO).await {
            return Err("there is no connection".into());
        }
        let (lose, lost) = watch::channel(false);
        let settings = &link.settings;
        // Also those that the servers told of.
        let pool = timeout(settings.within, link.client.server_pool()).await;
        let pool = pool.map_err(|error| described(&error))?.map_err(|error| described(&error))?;
        let servers = pool.into_iter().map(|server| server.addr).collect::<Vec<_>>();
        let options = options(settings).await.map_err(|error| error.to_string())?;
        let options = options
            .name(format!("{} (acknowledgements)", settings.name))
            .max_reconnects(servers.len())
            .reconnect_delay_callback(|_| LAST_TRY)
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    lose.send_replace(true);
                }
                std::future::ready(())
            });
        let client = options.connect(servers).await;
        let client = client.map_err(|error| described(&error))?;
        *present = Some((client.clone(), lost.clone()));
        Ok((client, lost))
    }
}
