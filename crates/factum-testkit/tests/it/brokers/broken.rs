//! A broker with one bug that brokers, and adapters of them, have had.

use super::harness::MemoryHarness;
use factum_app::{
    message::{
        Close, ConsumeError, Consumer, DeadMessage, Delivered, Deliveries, Group, Outgoing,
        PublishError, Publisher, Settle, SettleError, Start, Subscription,
    },
    world::BoxFuture,
};
use factum_testkit::{
    Boxed,
    brokers::{Ability, BrokerUnderTest, Made, Raw},
};
use std::{sync::Arc, time::Duration};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bug {
    /// Every tenth message is confirmed, and gone.
    Loses,
    /// What failed is confirmed.
    ConfirmsEarly,
    /// A batch is sent from its end.
    Reorders,
    /// What is behind a failure is sent all the same.
    SendsBehindFailure,
    /// After a failure nothing of the batch is sent, of other keys neither.
    HoldsBackOtherKeys,
    IgnoresPrefetch,
    /// Each delivery says that it is the first.
    ForgetsAttempts,
    ForgetsDelay,
    /// What is put aside is gone.
    DropsDeadLetters,
    DropsExtensions,
    /// Where there is no content type, one is made up.
    EmptyIsAbsent,
    /// A future of `next` that is dropped takes its message with it.
    NextEatsWhenDropped,
    /// What is handed out is acknowledged.
    AcksAtOnce,
    /// What is dropped unsettled is acknowledged.
    AcksWhatIsDropped,
    CloseDoesNotWait,
    /// Each instance is a group.
    GroupsAreApart,
    /// All groups are one.
    GroupsAreOne,
    /// Every group begins with the oldest.
    BeginsAnew,
    BroadcastIsShared,
    /// A lost connection ends a subscription.
    EndsAtOutage,
}

pub(super) struct Broken {
    memory: MemoryHarness,
    bug: Bug,
}

impl Broken {
    pub(super) fn new(bug: Bug) -> Self {
        Self { memory: MemoryHarness::new(), bug }
    }
}

impl BrokerUnderTest for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn can(&self, _: Ability) -> bool {
        true
    }

    fn prepare<'a>(&'a self, topics: &'a [String]) -> Boxed<'a, Made<()>> {
        self.memory.prepare(topics)
    }

    fn publisher(&self) -> Boxed<'_, Made<Arc<dyn Publisher>>> {
        let with = Way { memory: self.memory.broker.clone(), bug: self.bug };
        Box::pin(async { Ok(Arc::new(with) as Arc<dyn Publisher>) })
    }

    fn consumer(&self) -> Boxed<'_, Made<Arc<dyn Consumer>>> {
        let with = Way { memory: self.memory.broker.clone(), bug: self.bug };
        Box::pin(async { Ok(Arc::new(with) as Arc<dyn Consumer>) })
    }

    fn publish_raw(&self, raw: Raw) -> Boxed<'_, Made<()>> {
        self.memory.publish_raw(raw)
    }

    fn dead_letters<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> Boxed<'a, Made<Vec<DeadMessage>>> {
        self.memory.dead_letters(group, topic)
    }

    fn go_away(&self) -> Boxed<'_, Made<()>> {
        self.memory.go_away()
    }

    fn come_back(&self) -> Boxed<'_, Made<()>> {
        self.memory.come_back()
    }
}

/// To the broker and from it, with the bug in between.
#[derive(Debug)]
struct Way {
    memory: factum_app::message::MemoryBroker,
    bug: Bug,
}

impl Publisher for Way {
    fn max_bytes(&self) -> u64 {
        self.memory.max_bytes()
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            match self.bug {
                Bug::Reorders => {
                    let turned = batch.iter().rev().cloned().collect::<Vec<_>>();
                    let mut outcomes = self.memory.publish(&turned).await;
                    outcomes.reverse();
                    outcomes
                }
                Bug::Loses | Bug::SendsBehindFailure | Bug::ConfirmsEarly => {
                    let mut outcomes = Vec::new();
                    for (nth, one) in batch.iter().enumerate() {
                        if self.bug == Bug::Loses && nth % 10 == 9 {
                            outcomes.push(Ok(()));
                            continue;
                        }
                        let outcome =
                            self.memory.publish(std::slice::from_ref(one)).await.remove(0);
                        outcomes.push(match self.bug {
                            Bug::ConfirmsEarly => Ok(()),
                            _ => outcome,
                        });
                    }
                    outcomes
                }
                Bug::HoldsBackOtherKeys => {
                    let mut outcomes = self.memory.publish(batch).await;
                    let failed = outcomes.iter().position(Result::is_err);
                    for outcome in outcomes.iter_mut().skip(failed.map_or(usize::MAX, |at| at + 1))
                    {
                        *outcome = Err(PublishError::Behind { key: "k".into() });
                    }
                    outcomes
                }
                _ => self.memory.publish(batch).await,
            }
        })
    }
}

impl Consumer for Way {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        let mut subscription = subscription;
        let shared = || Group::Shared("all".into());
        match (self.bug, &subscription.group) {
            (Bug::IgnoresPrefetch, _) => subscription.prefetch = u16::MAX,
            (Bug::GroupsAreApart, Group::Shared(_)) => subscription.group = Group::Broadcast,
            (Bug::GroupsAreOne, _) => subscription.group = shared(),
            (Bug::BroadcastIsShared, Group::Broadcast) => subscription.group = shared(),
            (Bug::BeginsAnew, _) => subscription.start = Start::Oldest,
            _ => {}
        }
        Box::pin(async move {
            let inner = self.memory.consume(subscription).await?;
            let (bug, memory) = (self.bug, self.memory.clone());
            Ok(Box::new(Instance { inner, bug, memory }) as Box<dyn Deliveries>)
        })
    }
}

struct Instance {
    inner: Box<dyn Deliveries>,
    bug: Bug,
    memory: factum_app::message::MemoryBroker,
}

impl Deliveries for Instance {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        Box::pin(async {
            let probe = self.memory.consume(Subscription::broadcast(["probe"])).await;
            if self.bug == Bug::EndsAtOutage && probe.is_err() {
                return Err(ConsumeError::Unavailable { why: "the connection is lost".into() });
            }
            let mut delivered = self.inner.next().await?;
            match self.bug {
                Bug::ForgetsAttempts => delivered.attempt = 1,
                Bug::DropsExtensions => {
                    let message = delivered.message.as_mut();
                    message.map(|message| message.extensions.clear()).unwrap_or_default();
                }
                Bug::EmptyIsAbsent => {
                    if let Ok(message) = &mut delivered.message {
                        message.content_type.get_or_insert("application/json".into());
                    }
                }
                Bug::NextEatsWhenDropped => {
                    delivered.settle.ack().await.expect("it was just handed out");
                    tokio::task::yield_now().await;
                    delivered.settle = Box::new(Nothing);
                }
                Bug::AcksAtOnce => {
                    delivered.settle.ack().await.expect("it was just handed out");
                    delivered.settle = Box::new(Nothing);
                }
                Bug::ForgetsDelay | Bug::DropsDeadLetters | Bug::AcksWhatIsDropped => {
                    let (bug, inner) = (self.bug, delivered.settle);
                    delivered.settle = Box::new(Other { bug, inner: Some(inner) });
                }
                _ => {}
            }
            Ok(delivered)
        })
    }

    fn close(self: Box<Self>, within: Duration) -> BoxFuture<'static, Result<Close, ConsumeError>> {
        Box::pin(async move {
            match self.bug {
                Bug::CloseDoesNotWait => self.inner.close(Duration::ZERO).await,
                _ => self.inner.close(within).await,
            }
        })
    }
}

#[derive(Debug)]
struct Nothing;

type Settled = BoxFuture<'static, Result<(), SettleError>>;

impl Settle for Nothing {
    fn ack(self: Box<Self>) -> Settled {
        Box::pin(async { Ok(()) })
    }

    fn send_back(self: Box<Self>, _: Duration) -> Settled {
        Box::pin(async { Ok(()) })
    }

    fn dead_letter(self: Box<Self>, _: String) -> Settled {
        Box::pin(async { Ok(()) })
    }
}

#[derive(Debug)]
struct Other {
    bug: Bug,
    inner: Option<Box<dyn Settle>>,
}

impl Other {
    fn inner(&mut self) -> Box<dyn Settle> {
        self.inner.take().expect("it is settled once")
    }
}

impl Settle for Other {
    fn ack(mut self: Box<Self>) -> Settled {
        self.inner().ack()
    }

    fn send_back(mut self: Box<Self>, after: Duration) -> Settled {
        let after = if self.bug == Bug::ForgetsDelay { Duration::ZERO } else { after };
        self.inner().send_back(after)
    }

    fn dead_letter(mut self: Box<Self>, why: String) -> Settled {
        match self.bug {
            Bug::DropsDeadLetters => self.inner().ack(),
            _ => self.inner().dead_letter(why),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|_| self.bug == Bug::AcksWhatIsDropped) {
            // The broker in this process answers at once.
            factum_testkit::block_on(inner.ack()).unwrap_or_default();
        }
    }
}
