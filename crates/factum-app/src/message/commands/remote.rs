//! Commands of a process that another service does.

use super::{Answer, Requests};
use crate::{App, AppBuilder, Call, Command, Dispatch, DispatchError, Reply};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where commands go that other services do, by their names.
pub(crate) type Ways = BTreeMap<&'static str, (Requests, String)>;

/// A command that another service does: for the commands of a process, and for
/// [`Delivery::execute`](crate::bus::Delivery::execute).
///
/// A process keeps what it has sent, so that a program that ends meanwhile asks again when it is
/// back, with the same key; the other service does it once, and answers as the first time. How long
/// one is waited for is said by a timer of the process, as for any other.
///
/// ```
/// use factum_app::{CommandSet, Input, Process, Route, Steps, command, event};
/// use factum_app::{message::commands::Remote, process::minutes};
/// # use serde::{Deserialize, Serialize};
///
/// #[event("order.placed")]
/// struct OrderPlaced { #[tag] order: u32, cents: u64 }
///
/// /// As the payment service knows it.
/// #[command("payment.take")]
/// struct TakePayment { #[tag] order: u32, cents: u64 }
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Paying;
///
/// impl Process for Paying {
///     const NAME: &'static str = "paying";
///     type Event = OrderPlaced;
///     type Command = Remote<TakePayment>;
///
///     fn react(&mut self, input: Input<'_, Self>, steps: Steps<Self>) -> Steps<Self> {
///         match input {
///             Input::Event(OrderPlaced { order, cents }) => steps
///                 .send(Remote(TakePayment { order, cents }))
///                 .after(minutes(15), "unanswered"),
///             Input::Replied(_, _) => steps.end(),
///             Input::TimedOut(_) => steps.fail("no payment in time"),
///         }
///     }
/// }
/// ```
///
/// and where the app is built: `builder.remote::<TakePayment>(requests, "payments.commands")`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Remote<C>(pub C);

impl AppBuilder {
    /// Sends commands of this type, where they are [`Remote`], to a topic of another service.
    pub fn remote<C: Command>(mut self, requests: &Requests, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        self.ways.extend(C::NAMES.iter().map(|name| (*name, (requests.clone(), topic.clone()))));
        self
    }
}

impl<C: Command> Command for Remote<C> {
    const NAME: &'static str = C::NAME;
    const NAMES: &'static [&'static str] = C::NAMES;
    const TAGS: &'static [&'static str] = C::TAGS;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn tag_values(&self) -> Vec<(&'static str, String)> {
        self.0.tag_values()
    }
}

impl<C: Command> Dispatch for Remote<C> {
    async fn dispatch(self, app: &App, call: Call) -> Result<Reply, DispatchError> {
        let command = self.name();
        let Some((requests, topic)) = app.ways().get(command) else {
            let source = "no way to the service that does it is known: register it with \
                          `builder.remote`";
            return Err(DispatchError { command, retryable: false, source: source.into() });
        };
        let mut ask = requests.ask(topic.clone(), self.0).metadata(call.metadata).whenever();
        if let Some(key) = call.key {
            ask = ask.key(key);
        }
        match ask.await {
            Ok(Answer::Done(_)) => Ok(Reply::Done),
            Ok(Answer::Nothing(why)) => Ok(Reply::Nothing(why)),
            Ok(Answer::Refused(refused)) => Ok(Reply::Refused(refused.why)),
            Err(error) => {
                let retryable = error.is_retryable();
                Err(DispatchError { command, retryable, source: error.into() })
            }
        }
    }
}
