//! The exchanges, queues and bindings: what is declared at the broker, and by which names.
//!
//! ```text
//! exchange (topic) --pattern--> GROUP (headers) --slots of a key--> GROUP.0 … GROUP.n (quorum)
//!                                     \--no slot: others' messages--> GROUP.0
//! ```
//!
//! RabbitMQ hands the messages of one queue to all its consumers by turns, so order for each key
//! needs a queue that one consumer has at a time; several such queues, by a hash of the key, let
//! several instances work. That is done with what every RabbitMQ has, without a plugin.
//!
//! A quorum queue does not keep a second consumer out (it takes `exclusive`, and ignores it), so it
//! has a single active consumer: another one gets nothing before all is back that the first had.
//! Who may be the first is said by a small classic queue beside it, which does keep others out.

use lapin::{
    Channel, ExchangeKind,
    options::{
        ExchangeBindOptions, ExchangeDeclareOptions, ExchangeUnbindOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{
    error::{ACCESS_REFUSED, Trouble},
    link::Link,
};

/// The header by which a group's messages are spread over its queues.
pub(crate) const SLOT_HEADER: &str = "factum-slot";
/// How many values it has: the most queues of a group.
pub(crate) const SLOTS: u8 = 16;

/// An exchange that is not there.
const NOWHERE: &str = "factum.no-such-exchange";

/// An instance's own queue is removed when it was gone for so long; so is who counts a group's
/// instances.
const EXPIRES_MS: i64 = 300_000;

/// The slot of a key. FNV-1a, which is the same on every machine and in every version of ours:
/// two programs that disagreed would put one key into two queues.
pub(crate) fn slot(key: &str) -> u8 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    u8::try_from(hash % u64::from(SLOTS)).expect("it is below SLOTS")
}

/// Whose queues, and which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Queues {
    pub(crate) exchange: String,
    pub(crate) topics: Vec<String>,
    pub(crate) kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Of a group that keeps the order of keys.
    Ordered { group: String, queues: u8, deliveries_max: Option<u32> },
    /// Of a group without order.
    Unordered { group: String, deliveries_max: Option<u32> },
    /// Of one instance.
    Broadcast { queue: String },
}

/// Where a group's dead letters are.
pub(crate) fn dead(group: &str) -> String {
    format!("{group}.dead")
}

/// The queue whose consumers are a group's instances; nothing is ever in it.
pub(crate) fn members(group: &str) -> String {
    format!("{group}.members")
}

/// The queue whose one consumer has the queue of this name; nothing is ever in it.
pub(crate) fn owner(queue: &str) -> String {
    format!("{queue}.owner")
}

impl Queues {
    /// The names of those that are consumed.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Ordered { group, queues, .. } => {
                (0..*queues).map(|number| format!("{group}.{number}")).collect()
            }
            Kind::Unordered { group, .. } => vec![group.clone()],
            Kind::Broadcast { queue } => vec![queue.clone()],
        }
    }

    /// The group, if it is one's.
    pub(crate) fn group(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ordered { group, .. } | Kind::Unordered { group, .. } => Some(group),
            Kind::Broadcast { .. } => None,
        }
    }

    /// Declares all of it; what is there already stays.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), Trouble> {
        match &self.kind {
            Kind::Ordered { group, queues, deliveries_max } => {
                self.declare_ordered(channel, group, *queues, *deliveries_max).await
            }
            Kind::Unordered { group, deliveries_max } => {
                declare(channel, &dead(group), quorum()).await?;
                declare(channel, group, limited(group, *deliveries_max)).await?;
                self.bind(channel, group).await
            }
            Kind::Broadcast { queue } => {
                declare(channel, queue, expiring()).await?;
                self.bind(channel, queue).await
            }
        }
    }

    async fn declare_ordered(
        &self,
        channel: &Channel,
        group: &str,
        queues: u8,
        deliveries_max: Option<u32>,
    ) -> Result<(), Trouble> {
        // First, and with the number of queues in it: of a group that is there with another number
        // the broker refuses this before anything is changed. Slots bound to other queues as well
        // would come twice, or into queues that nobody reads.
        let rest = format!("{group}.rest.{queues}");
        let others = table([("alternate-exchange", AMQPValue::LongString(rest.as_str().into()))]);
        exchange(channel, group, ExchangeKind::Headers, others).await?;
        declare(channel, &dead(group), quorum()).await?;
        declare(channel, &members(group), expiring()).await?;
        let names = self.names();
        for name in &names {
            declare(channel, &owner(name), expiring()).await?;
            let mut arguments = limited(group, deliveries_max);
            arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
            declare(channel, name, arguments).await?;
        }
        // Others' messages have no slot; they are in order among each other.
        exchange(channel, &rest, ExchangeKind::Fanout, FieldTable::default()).await?;
        if let Some(first) = names.first() {
            bind(channel, first, &rest, "", FieldTable::default()).await?;
        }
        for slot in 0..SLOTS {
            let Some(name) = names.get(usize::from(slot % queues)) else { continue };
            let wanted = [
                ("x-match", AMQPValue::LongString("all".into())),
                (SLOT_HEADER, AMQPValue::LongLongInt(slot.into())),
            ];
            bind(channel, name, group, "", table(wanted)).await?;
        }
        for topic in &self.topics {
            let (to, from) = (short(group)?, short(&self.exchange)?);
            let options = ExchangeBindOptions::default();
            let nothing = FieldTable::default();
            channel.exchange_bind(to, from, short(topic)?, options, nothing).await?;
        }
        Ok(())
    }

    async fn bind(&self, channel: &Channel, queue: &str) -> Result<(), Trouble> {
        for topic in &self.topics {
            bind(channel, queue, &self.exchange, topic, FieldTable::default()).await?;
        }
        Ok(())
    }
}

/// Declares the exchange that messages go to; where the user may not, it must be there.
pub(crate) async fn topic_exchange(link: &Link, name: &str) -> Result<(), Trouble> {
    let kind = ExchangeKind::Topic;
    let declared =
        exchange(&link.channel().await?, name, kind.clone(), FieldTable::default()).await;
    match declared {
        Err(Trouble::Refused { code: ACCESS_REFUSED, .. }) => {
            let options = ExchangeDeclareOptions { passive: true, ..durable() };
            let channel = link.channel().await?;
            let there =
                channel.exchange_declare(short(name)?, kind, options, FieldTable::default());
            there.await.or(declared)
        }
        other => other,
    }
}

/// Whether the user may publish to this exchange, without publishing. A binding that cannot be is
/// taken away: for that the broker first wants the permission to write where it leads, and only
/// then looks at where it comes from.
pub(crate) async fn may_write(channel: &Channel, exchange: &str) -> Result<(), Trouble> {
    let options = ExchangeUnbindOptions::default();
    let to = short(exchange)?;
    let nothing = FieldTable::default();
    let outcome = channel.exchange_unbind(to, NOWHERE.into(), "".into(), options, nothing).await;
    match outcome.map_err(Trouble::from) {
        Err(Trouble::Refused { said, .. }) if said.contains(NOWHERE) => Ok(()),
        outcome => outcome,
    }
}

/// The name as AMQP has it: at most 255 bytes.
pub(crate) fn short(name: &str) -> Result<ShortString, Trouble> {
    ShortString::try_new(name).map_err(|_| Trouble::Refused {
        code: 0,
        said: format!("a name of {} bytes, where AMQP has room for 255", name.len()),
    })
}

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> Result<(), Trouble> {
    Ok(channel.exchange_declare(short(name)?, kind, durable(), arguments).await?)
}

async fn declare(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), Trouble> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(short(name)?, options, arguments).await?;
    Ok(())
}

async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
    arguments: FieldTable,
) -> Result<(), Trouble> {
    let (queue, exchange, key) = (short(queue)?, short(exchange)?, short(key)?);
    Ok(channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), arguments).await?)
}

fn durable() -> ExchangeDeclareOptions {
    ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() }
}

fn table(entries: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

/// Replicated where the broker is a cluster, and on disk before it is confirmed.
fn quorum() -> FieldTable {
    table([("x-queue-type", AMQPValue::LongString("quorum".into()))])
}

/// A quorum queue whose messages go to the group's dead letters after so many deliveries; they stay
/// where they are until they have arrived there.
fn limited(group: &str, deliveries_max: Option<u32>) -> FieldTable {
    let mut arguments = quorum();
    for (name, value) in [
        ("x-dead-letter-exchange", String::new()),
        ("x-dead-letter-routing-key", dead(group)),
        ("x-dead-letter-strategy", "at-least-once".to_owned()),
        ("x-overflow", "reject-publish".to_owned()),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    if let Some(max) = deliveries_max {
        // The broker counts returns, not deliveries.
        let returns = i64::from(max.saturating_sub(1));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(returns));
    }
    arguments
}

fn expiring() -> FieldTable {
    table([
        ("x-queue-type", AMQPValue::LongString("classic".into())),
        ("x-expires", AMQPValue::LongLongInt(EXPIRES_MS)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_same_for_ever_and_all_are_used() {
        assert_eq!([slot(""), slot("order-7"), slot("a")], [5, 11, 12]);
        let mut found: Vec<u8> = (0..1_000).map(|key| slot(&format!("order-{key}"))).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), usize::from(SLOTS));
    }

    #[test]
    fn a_name_that_amqp_has_no_room_for_is_refused() {
        assert!(short(&"x".repeat(255)).is_ok());
        assert!(matches!(short(&"x".repeat(256)), Err(Trouble::Refused { .. })));
    }
}
