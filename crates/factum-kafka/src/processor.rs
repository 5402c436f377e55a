//! Consume, process, produce: messages of some topics become messages of others, and how far the
//! group is moves in the same transaction. So each is processed once, as far as who reads only what
//! was committed can see.
//!
//! What must hold: the offset of a message is in the transaction of what was made of it, and of
//! everything before it in its partition; what is not committed is processed again.

use crate::{
    client::Told, error::ConnectError, options::Options, session::Session, transaction::Failed,
};
use factum_app::{
    bus::HandlerError,
    message::{Group, Message, Outgoing, Subscription},
};
use std::{pin::pin, time::Duration};
use tokio::{select, sync::watch, time::sleep};

/// The longest first pause after a transaction that was aborted; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A processor: a subscription, a function from a message to messages, and a producer whose
/// transactions hold the messages and the offsets.
///
/// Messages are taken in batches of up to the subscription's prefetch. The function is called for
/// one after the other; what it returns is published, and the offsets are committed, in one
/// transaction. **The function may be called again for the same message**: whatever else it does
/// is not in the transaction.
///
/// An error that may pass ([`HandlerError`]) holds its partition, and no other, until the function
/// succeeds, with pauses of up to 10 seconds; after [`Subscription::deliveries_max`] attempts, if
/// that is set, the message goes to its topic's dead letters, in a transaction like any other. What
/// is poison, no CloudEvent, or becomes a message that is too large, goes there at once; so the
/// topic of dead letters must be there, or be made by [`Options::create`].
///
/// Who reads what it publishes reads with `isolation.level=read_committed`, as [`KafkaConsumer`]
/// does: other readers see what was aborted.
///
/// ```no_run
/// use factum_app::{bus::HandlerError, message::{Message, Outgoing, Subscription}};
/// use factum_kafka::{KafkaProcessor, Options};
///
/// async fn bill(order: Message) -> Result<Vec<Outgoing>, HandlerError> {
///     let invoice = Message::new(order.id.clone(), "/billing", "invoice.sent").data(
///         "application/json", order.data);
///     Ok(vec![Outgoing::new("invoices", invoice)])
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let processor = KafkaProcessor::new(Options::new("kafka-1:9092"), "billing-0")?;
/// let stop = std::future::pending();
/// processor.run(Subscription::shared("billing", ["orders"]), bill, stop).await?;
/// # Ok(()) }
/// ```
///
/// [`KafkaConsumer`]: crate::KafkaConsumer
#[derive(Debug)]
pub struct KafkaProcessor {
    pub(crate) options: Options,
    pub(crate) name: String,
    /// Whether the brokers have taken its credentials, in any session.
    pub(crate) told: Told,
    status: watch::Sender<Processing>,
}

/// What a processor has done since it was made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Processing {
    /// What it does.
    pub state: ProcessorState,
    /// How many messages were processed: their offsets are committed.
    pub processed: u64,
    /// How many messages were published and committed, dead letters apart.
    pub published: u64,
    /// How many of the processed ones went to dead letters.
    pub dead: u64,
    /// How many transactions were aborted.
    pub aborted: u64,
}

/// What a processor does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ProcessorState {
    /// It has no subscription yet.
    #[default]
    Starting,
    /// It takes what comes.
    Running,
    /// The last transaction was not committed; it tries again.
    Away {
        /// What is known.
        why: String,
    },
    /// It has ended.
    Ended,
}

/// Why a processor has ended without being asked to. What was not committed comes again.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessError {
    /// Another began under its name, and everything of this one that is not committed is aborted.
    /// Give each instance a name of its own; or end this one, where the other is its successor.
    #[error("another processor is named {name:?}, and has taken over: {why}")]
    Fenced {
        /// The name of both.
        name: String,
        /// What the cluster said.
        why: String,
    },
    /// The cluster refuses it, however often it is tried: rights, a missing topic, a setting.
    #[error("the cluster refuses it: {why}")]
    Refused {
        /// What it said, and the cure.
        why: String,
    },
}

impl KafkaProcessor {
    /// With these settings, under a name (`transactional.id`): one for each instance, the same
    /// after a restart, as a new one ends what the former has left open. Under two names it would
    /// hide what is behind that until the transaction's time-out, a minute or more.
    ///
    /// # Errors
    ///
    /// A setting is wrong. The cluster is asked when it runs.
    pub fn new(options: Options, name: impl Into<String>) -> Result<Self, ConnectError> {
        let name = name.into();
        if name.is_empty() {
            let why = "empty: give each instance a name of its own".to_owned();
            return Err(ConnectError::Setting { name: "transactional.id".to_owned(), why });
        }
        options.transactional(&name)?;
        options.consumer("check")?;
        Ok(Self { options, name, told: Told::default(), status: watch::Sender::default() })
    }

    /// What the cluster knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has done, and whatever changes of it.
    pub fn processing(&self) -> watch::Receiver<Processing> {
        self.status.subscribe()
    }

    /// Processes what comes, until `stop` is ready: then the batch in hand is committed, and the
    /// group is left. A cluster that is away is waited for. Dropped, the batch in hand is
    /// processed again, by whoever is next of this name or in this group.
    ///
    /// # Errors
    ///
    /// Another has its name, or the cluster refuses what is asked for.
    pub async fn run<F, Done>(
        &self,
        subscription: Subscription,
        function: F,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ProcessError>
    where
        F: Fn(Message) -> Done,
        Done: Future<Output = Result<Vec<Outgoing>, HandlerError>>,
    {
        if subscription.group == Group::Broadcast {
            let why = "a processor shares its work: subscribe with `Subscription::shared`";
            return Err(ProcessError::Refused { why: why.to_owned() });
        }
        let mut stop = pin!(stop);
        let mut attempt = 0;
        let ended = loop {
            let opened = select! {
                biased;
                () = stop.as_mut() => break Ok(()),
                opened = Session::open(self, &subscription) => opened,
            };
            let ended = match opened {
                Ok(session) => session.run(&function, stop.as_mut(), &mut attempt).await,
                Err(failed) => Err(failed),
            };
            let why = match ended {
                Ok(()) => break Ok(()),
                Err(Failed::Over(why) | Failed::Aborted { why, .. }) => why,
                Err(Failed::Refused(why)) => break Err(ProcessError::Refused { why }),
                Err(Failed::Fenced(why)) => {
                    break Err(ProcessError::Fenced { name: self.name.clone(), why });
                }
            };
            self.say(|status| status.state = ProcessorState::Away { why });
            select! {
                biased;
                () = stop.as_mut() => break Ok(()),
                () = sleep(pause(attempt)) => attempt += 1,
            }
        };
        self.say(|status| status.state = ProcessorState::Ended);
        ended
    }

    pub(crate) fn say(&self, change: impl FnOnce(&mut Processing)) {
        self.status.send_modify(change);
    }
}

/// How long is waited after so many failures in a row, the last apart.
pub(crate) fn pause(attempt: u32) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(PAUSE_MAX)
}
