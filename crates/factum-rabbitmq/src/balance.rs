//! Which of a group's queues this instance consumes.
//!
//! Each instance consumes the group's queue of members, so that the broker's count of its consumers
//! is the number of instances. An instance with more than its share gives a queue up, when all that
//! it handed out of it is settled; one with less takes a queue that has no owner. The broker
//! lets one alone own a queue, so a race between two has one winner and no harm.

use std::{collections::BTreeMap, sync::Arc};

use lapin::{
    Channel, Consumer,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep},
};

use crate::{
    error::Trouble,
    queue::{Consuming, Flow, Going},
    topology::{members, owner, short},
};

/// How often shares are looked at: so long does it take until an instance that died is replaced.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// The queues of an ordered group, and those of them that are ours.
pub(crate) struct Balance {
    flow: Arc<Flow>,
    group: String,
    held: BTreeMap<String, watch::Sender<Going>>,
    tasks: JoinSet<String>,
    /// Where the instances are counted; made again when the connection was lost.
    counting: Option<(Channel, Consumer)>,
    begun: watch::Sender<u64>,
}

impl Balance {
    pub(crate) fn new(flow: Arc<Flow>, group: String, begun: watch::Sender<u64>) -> Self {
        let (held, tasks) = (BTreeMap::new(), JoinSet::new());
        Self { flow, group, held, tasks, counting: None, begun }
    }

    /// Until it is told to stop, and all queues are given up. `settled` is told when this instance
    /// has its share for the first time.
    pub(crate) async fn run(
        mut self,
        mut going: watch::Receiver<Going>,
        settled: watch::Sender<bool>,
    ) {
        while !going.borrow().is_over() {
            match self.look().await {
                Ok(true) => _ = settled.send_replace(true),
                Ok(false) => {}
                // It is looked again; what is wrong, the queues' own tasks tell.
                Err(_) => self.counting = None,
            }
            tokio::select! {
                _ = going.wait_for(Going::is_over) => {}
                () = sleep(LOOK_PAUSE) => {}
            }
        }
        loop {
            let now = *going.borrow();
            for held in self.held.values() {
                held.send_replace(now);
            }
            tokio::select! {
                ended = self.tasks.join_next() => if ended.is_none() { break },
                changed = going.changed(), if now != Going::Ending => {
                    if changed.is_err() {
                        break;
                    }
                }
            }
        }
    }

    /// Takes or gives up, towards this instance's share; whether it has that.
    async fn look(&mut self) -> Result<bool, Trouble> {
        while let Some(Ok(ended)) = self.tasks.try_join_next() {
            self.held.remove(&ended);
        }
        let channel = self.counting().await?;
        let instances = consumers(&channel, &members(&self.group)).await?.max(1);
        let names = self.flow.queues.names();
        let share = share(names.len(), usize::try_from(instances).unwrap_or(1));
        let kept = self.held.values().filter(|going| !going.borrow().is_over()).count();
        for going in self.held.values().filter(|going| !going.borrow().is_over()).skip(share) {
            going.send_replace(Going::Draining);
        }
        let mut missing = share.saturating_sub(kept);
        for name in names {
            let free = !self.held.contains_key(&name) && missing > 0;
            if free && consumers(&channel, &owner(&name)).await? == 0 {
                self.take(name);
                missing -= 1;
            }
        }
        Ok(missing == 0)
    }

    fn take(&mut self, queue: String) {
        let (told, going) = watch::channel(Going::On);
        let begun = self.begun.clone();
        let consuming =
            Consuming { flow: Arc::clone(&self.flow), queue: queue.clone(), alone: true };
        self.held.insert(queue.clone(), told);
        self.tasks.spawn(async move {
            consuming.run(going, begun).await;
            queue
        });
    }

    /// A channel over which this instance is counted among the group's.
    async fn counting(&mut self) -> Result<Channel, Trouble> {
        if let Some((channel, _)) = self.counting.as_ref().filter(|one| one.0.status().connected())
        {
            return Ok(channel.clone());
        }
        let channel = self.flow.client.consuming.channel().await?;
        self.flow.queues.declare(&channel).await?;
        let queue = short(&members(&self.group))?;
        let options = BasicConsumeOptions::default();
        let consume = channel.basic_consume(queue, "".into(), options, FieldTable::default());
        let consumer = consume.await?;
        self.counting = Some((channel.clone(), consumer));
        Ok(channel)
    }
}

/// How many queues an instance has at most, so that all are had.
fn share(queues: usize, instances: usize) -> usize {
    queues.div_ceil(instances.max(1))
}

async fn consumers(channel: &Channel, queue: &str) -> Result<u32, Trouble> {
    let options =
        QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(short(queue)?, options, FieldTable::default()).await?;
    Ok(queue.consumer_count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_queues() {
        for (queues, instances, expect) in [(4, 1, 4), (4, 2, 2), (4, 3, 2), (4, 4, 1), (4, 9, 1)] {
            assert_eq!(share(queues, instances), expect);
        }
    }
}
