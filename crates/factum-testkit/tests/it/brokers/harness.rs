//! The broker in this process, as the suite wants it.

use factum_app::message::{Consumer, DeadMessage, MemoryBroker, Publisher};
use factum_testkit::{
    Boxed,
    brokers::{Ability, BrokerUnderTest, Made, Raw},
};
use std::sync::Arc;

pub(super) struct MemoryHarness {
    pub(super) broker: MemoryBroker,
}

impl MemoryHarness {
    pub(super) fn new() -> Self {
        let broker = MemoryBroker::new();
        broker.declare("nothing");
        Self { broker }
    }
}

impl BrokerUnderTest for MemoryHarness {
    fn name(&self) -> &'static str {
        "memory broker"
    }

    fn can(&self, _: Ability) -> bool {
        true
    }

    fn prepare<'a>(&'a self, topics: &'a [String]) -> Boxed<'a, Made<()>> {
        topics.iter().for_each(|topic| self.broker.declare(topic));
        Box::pin(async { Ok(()) })
    }

    fn publisher(&self) -> Boxed<'_, Made<Arc<dyn Publisher>>> {
        Box::pin(async { Ok(Arc::new(self.broker.clone()) as Arc<dyn Publisher>) })
    }

    fn consumer(&self) -> Boxed<'_, Made<Arc<dyn Consumer>>> {
        Box::pin(async { Ok(Arc::new(self.broker.clone()) as Arc<dyn Consumer>) })
    }

    fn publish_raw(&self, raw: Raw) -> Boxed<'_, Made<()>> {
        let Raw { topic, attributes, content_type, data } = raw;
        let done = self.broker.publish_raw(&topic, attributes, content_type, data);
        Box::pin(async { Ok(done?) })
    }

    fn dead_letters<'a>(&'a self, group: &'a str, _: &'a str) -> Boxed<'a, Made<Vec<DeadMessage>>> {
        Box::pin(async move { Ok(self.broker.dead_letters(group)) })
    }

    fn go_away(&self) -> Boxed<'_, Made<()>> {
        self.broker.go_away();
        Box::pin(async { Ok(()) })
    }

    fn come_back(&self) -> Boxed<'_, Made<()>> {
        self.broker.come_back();
        Box::pin(async { Ok(()) })
    }
}
