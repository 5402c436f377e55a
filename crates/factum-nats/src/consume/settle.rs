//! How a message that was handed out is settled: each way is confirmed by the server.

use super::desk::{Desk, Parcel, Slip};
use crate::{
    binding::Wire,
    connect::{Link, described},
    dead,
};
use async_nats::{Request, RequestErrorKind, Subject};
use factum_app::{
    message::{Settle, SettleError},
    world::BoxFuture,
};
use std::{fmt, sync::Arc, time::Duration};

/// How long what could not be put aside is left alone.
const DEAD_AGAIN: Duration = Duration::from_secs(1);

/// The right to settle one message; dropped unused, the message is sent back.
pub(crate) struct Receipt {
    pub(crate) link: Arc<Link>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) group: Arc<str>,
    pub(crate) slip: Slip,
    pub(crate) reply: Subject,
    pub(crate) parcel: Parcel,
    used: bool,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("slip", &self.slip).finish_non_exhaustive()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.used {
            self.desk.dropped(self.slip, self.reply.clone());
        }
    }
}

impl Receipt {
    pub(crate) fn new(
        (link, desk, group): (&Arc<Link>, &Arc<Desk>, &Arc<str>),
        (slip, parcel, reply): (Slip, Parcel, Subject),
    ) -> Self {
        let (link, desk, group) = (Arc::clone(link), Arc::clone(desk), Arc::clone(group));
        Self { link, desk, group, slip, reply, parcel, used: false }
    }

    /// Tells the server, and waits until it has heard.
    async fn tell(&mut self, what: String, sent_back: bool) -> Result<(), SettleError> {
        self.used = true;
        if !self.desk.holds(self.slip) {
            let why = "its connection was lost, or its subscription has ended".into();
            return Err(SettleError::Lost { why });
        }
        // It may be here again before the server's answer is: then it must not be this one's.
        if sent_back {
            self.desk.settle(self.slip, true);
        }
        let told = self.link.tell(self.reply.clone(), what).await;
        if !sent_back {
            self.desk.settle(self.slip, false);
        }
        told.map_err(|why| SettleError::Lost { why })
    }

    async fn put_aside(&mut self, why: &str) -> Result<(), SettleError> {
        if !self.desk.holds(self.slip) {
            let why = "its connection was lost, or its subscription has ended".into();
            return Err(SettleError::Lost { why });
        }
        let put = dead::put(&self.link, &self.group, &self.parcel, why).await;
        let Err(error) = put else { return self.tell("+TERM".into(), false).await };
        // It comes again: it must not be lost because nobody could put it aside.
        let _ = self.tell(sent_back(DEAD_AGAIN), true).await;
        Err(error)
    }
}

fn sent_back(after: Duration) -> String {
    match after.as_nanos() {
        0 => "-NAK".to_owned(),
        nanos => format!("-NAK {{\"delay\": {nanos}}}"),
    }
}

impl Settle for Receipt {
    fn ack(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.tell("+ACK".into(), false).await })
    }

    fn send_back(
        mut self: Box<Self>,
        after: Duration,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.tell(sent_back(after), true).await })
    }

    fn dead_letter(
        mut self: Box<Self>,
        why: String,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.put_aside(&why).await })
    }
}

impl Link {
    /// Says something where a delivery is settled, and waits until the server has heard; or why it
    /// may not have.
    async fn tell(&self, reply: Subject, what: String) -> Result<(), String> {
        let (client, mut lost) = self.acks.get(self).await?;
        let request = Request::new().payload(what.into()).timeout(Some(self.settings.within));
        tokio::select! {
            heard = client.send_request(reply, request) => match heard {
                Ok(_) => Ok(()),
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                    Err("the server has no such consumer at the moment".into())
                }
                Err(error) => Err(described(&error)),
            },
            _ = lost.wait_for(|lost| *lost) => Err("the connection was lost".into()),
        }
    }

    /// Says something about a delivery, and does not wait.
    pub(crate) async fn mention(&self, reply: Subject, what: &'static str) {
        // Without a connection the server gives it out again by itself.
        let _ = self.client.publish(reply, what.into()).await;
    }
}

impl Wire {
    /// A message as it came, to be published elsewhere.
    pub(crate) fn of(parcel: &Parcel) -> Self {
        let headers = parcel.headers.clone().unwrap_or_default();
        Self { headers, payload: parcel.payload.clone() }
    }
}
