//! The keeper of a subscription: which lanes are at work here, and how it ends.
//!
//! Of a group, each instance has its share of the lanes: who has more than the largest share gives
//! one back, who has less takes what is free. A lane is given back when its handlers are done with
//! it, and only then is it another's.

use super::{
    desk::Desk,
    lease::{Leases, Seen, Tried},
    pull::{Ended, Gone, Lane, Plan},
};
use crate::connect::Link;
use async_nats::Subscriber;
use futures_util::{StreamExt, future::join_all, stream::select_all};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

/// How long a lane that is to be another's waits for its handlers.
const RELEASE_MAX: Duration = Duration::from_secs(30);
/// How long whoever joins waits for its share.
const JOIN_MAX: Duration = Duration::from_secs(3);
/// How long, at most, until who is there is looked at again.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The lanes of one stream.
pub(crate) struct Stand {
    pub(crate) plans: Vec<Plan>,
    /// Nothing where all lanes are this instance's own.
    pub(crate) leases: Option<Leases>,
    pub(crate) remake: Option<super::Remake>,
}

/// A lane at work here.
struct Working {
    stop: watch::Sender<Option<Duration>>,
    /// The number of its lease, and until when that is good.
    lease: Option<(u64, Instant)>,
}

pub(crate) struct Keeper {
    pub(crate) link: Arc<Link>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) group: Arc<str>,
    stands: Vec<Stand>,
    working: BTreeMap<(usize, usize), Working>,
    tasks: JoinSet<((usize, usize), Ended)>,
    unsettled: u64,
    pub(crate) ready: watch::Sender<bool>,
}

impl Keeper {
    pub(crate) fn new(
        (link, desk, group): (&Arc<Link>, &Arc<Desk>, &Arc<str>),
        stands: Vec<Stand>,
    ) -> Self {
        Self {
            link: Arc::clone(link),
            desk: Arc::clone(desk),
            group: Arc::clone(group),
            stands,
            working: BTreeMap::new(),
            tasks: JoinSet::new(),
            unsettled: 0,
            ready: watch::Sender::new(false),
        }
    }

    /// Waits until this instance has its share, if that is soon.
    pub(crate) async fn joined(mut ready: watch::Receiver<bool>) {
        let _ = tokio::time::timeout(JOIN_MAX, ready.wait_for(|ready| *ready)).await;
    }

    /// Keeps the lanes until it is told to end, and how long it may wait for handlers then. How
    /// many messages were not settled by then.
    pub(crate) async fn run(mut self, mut end: watch::Receiver<Option<Duration>>) -> u64 {
        let mut bells = select_all(self.bells().await);
        let every = self.stands.iter().filter_map(|stand| stand.leases.as_ref());
        let every = every.map(|leases| leases.good_for / 4).min().unwrap_or(LOOK_MAX).min(LOOK_MAX);
        self.join().await;
        while end.borrow().is_none() {
            self.beat().await;
            tokio::select! {
                _ = end.changed() => {}
                Some(_) = bells.next(), if !bells.is_empty() => {}
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok((at, ended)) = ended {
                        self.ended(at, ended).await;
                    }
                }
                () = sleep(every) => {}
            }
        }
        let limit = end.borrow().unwrap_or_default();
        self.finish(limit).await;
        self.unsettled
    }

    async fn bells(&self) -> Vec<Subscriber> {
        let leases = self.stands.iter().filter_map(|stand| stand.leases.as_ref());
        let bells = leases.map(|leases| self.link.client.subscribe(leases.bell()));
        join_all(bells).await.into_iter().filter_map(Result::ok).collect()
    }

    async fn join(&mut self) {
        for leases in self.stands.iter_mut().filter_map(|stand| stand.leases.as_mut()) {
            leases.present().await;
            leases.ring().await;
        }
    }

    /// Renews what is held, and sees to the share.
    async fn beat(&mut self) {
        let mut share = true;
        for at in 0..self.stands.len() {
            share &= self.beat_of(at).await;
        }
        if share {
            self.ready.send_replace(true);
        }
    }

    /// False while it has less than its share of a stream's lanes.
    async fn beat_of(&mut self, stand: usize) -> bool {
        self.renew(stand).await;
        let Some(one) = self.stands.get_mut(stand) else { return true };
        let lanes = one.plans.len();
        let Some(leases) = &mut one.leases else {
            for lane in 0..lanes {
                self.start((stand, lane), None);
            }
            return true;
        };
        leases.present().await;
        let Some(seen) = leases.look().await else { return false };
        self.give_back(stand, &seen);
        let have = self.take(stand, &seen).await;
        have >= lanes / seen.members.max(1)
    }

    async fn renew(&mut self, stand: usize) {
        let Some(Stand { leases: Some(leases), .. }) = self.stands.get(stand) else { return };
        let good_for = leases.good_for;
        let held = self.working.iter_mut().filter(|((of, _), _)| *of == stand);
        let renewals = held.filter_map(|((_, lane), working)| {
            let (number, until) = working.lease?;
            let now = Instant::now();
            let due = until.saturating_duration_since(now) < good_for / 2 + good_for / 4;
            due.then_some(async move {
                match leases.renew(*lane, number).await {
                    Tried::Held(number) => working.lease = Some((number, now + good_for)),
                    Tried::Unknown if Instant::now() < until => {}
                    Tried::Lost | Tried::Unknown => {
                        working.lease = None;
                        working.stop.send_replace(Some(Duration::ZERO));
                    }
                }
            })
        });
        join_all(renewals.collect::<Vec<_>>()).await;
    }

    /// Tells lanes beyond the largest share to end, the last ones first.
    fn give_back(&self, stand: usize, seen: &Seen) {
        let Some(one) = self.stands.get(stand) else { return };
        let share = one.plans.len().div_ceil(seen.members.max(1));
        let here = self.working.iter().filter(|((of, _), _)| *of == stand);
        for (_, working) in here.skip(share).filter(|(_, w)| w.stop.borrow().is_none()) {
            working.stop.send_replace(Some(RELEASE_MAX));
        }
    }

    /// Takes what is free, up to the largest share; how many lanes are here then.
    async fn take(&mut self, stand: usize, seen: &Seen) -> usize {
        let Some(Stand { leases: Some(leases), plans, .. }) = self.stands.get(stand) else {
            return 0;
        };
        let share = plans.len().div_ceil(seen.members.max(1));
        let here = |lane: &usize| self.working.contains_key(&(stand, *lane));
        let have = (0..plans.len()).filter(here).count();
        let free = (0..plans.len()).filter(|lane| !here(lane) && !seen.taken.contains(lane));
        let free = free.take(share.saturating_sub(have)).collect::<Vec<_>>();
        let until = Instant::now() + leases.good_for;
        let tries = free.iter().map(|lane| leases.take(*lane));
        let tried = join_all(tries.collect::<Vec<_>>()).await;
        let mut taken = 0;
        for (lane, tried) in free.into_iter().zip(tried) {
            if let Tried::Held(number) = tried {
                self.start((stand, lane), Some((number, until)));
                taken += 1;
            }
        }
        have + taken
    }

    fn start(&mut self, at: (usize, usize), lease: Option<(u64, Instant)>) {
        if self.working.contains_key(&at) {
            return;
        }
        let plan = self.stands.get(at.0).and_then(|stand| stand.plans.get(at.1));
        let Some(plan) = plan.cloned() else { return };
        let (stop, stopped) = watch::channel(None);
        let lane = Lane::new(&self.link, &self.desk, plan);
        self.tasks.spawn(async move { (at, lane.run(stopped).await) });
        self.working.insert(at, Working { stop, lease });
    }

    /// A lane has ended: it was told to, or its consumer is gone.
    async fn ended(&mut self, at: (usize, usize), ended: Ended) {
        let working = self.working.remove(&at);
        let Some(stand) = self.stands.get_mut(at.0) else { return };
        if let (Some(leases), Some((number, _))) =
            (&stand.leases, working.and_then(|working| working.lease))
        {
            leases.remove(number).await;
            leases.ring().await;
        }
        let Some(plan) = stand.plans.get_mut(at.1) else { return };
        let Some(Gone::Consumer(said)) = ended.gone else { return };
        if let Some(remake) = &mut stand.remake {
            match remake.again(&self.link, ended.from).await {
                Ok(consumer) => plan.consumer = consumer,
                Err(error) => self.desk.fail(error),
            }
        } else {
            self.desk.fail(Gone::Consumer(said).error(&self.group, plan));
        }
    }

    async fn finish(&mut self, limit: Duration) {
        for working in self.working.values() {
            working.stop.send_replace(Some(limit));
        }
        while let Some(ended) = self.tasks.join_next().await {
            let Ok((at, ended)) = ended else { continue };
            self.unsettled += ended.unsettled;
            self.ended(at, Ended { gone: None, ..ended }).await;
        }
        let dropped = std::mem::take(&mut self.desk.lock().dropped);
        for reply in dropped {
            self.link.mention(reply, "-NAK").await;
        }
        for stand in &mut self.stands {
            if let Some(leases) = &mut stand.leases {
                leases.leave().await;
                leases.ring().await;
            }
            if stand.remake.is_some() {
                for plan in &stand.plans {
                    self.link.forget_consumer(plan).await;
                }
            }
        }
    }
}

/// How long a step of leaving may take without a connection.
const FORGET_MAX: Duration = Duration::from_secs(2);

impl Link {
    /// Deletes a consumer of this instance's own; where that fails, the server does so later.
    async fn forget_consumer(&self, plan: &Plan) {
        let deleted = self.context.delete_consumer_from_stream(&plan.consumer, &plan.stream);
        let _ = tokio::time::timeout(FORGET_MAX, deleted).await;
    }
}
