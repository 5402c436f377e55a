//! What a simulated world is made of: tasks, timers, instances, the clock. No task is polled here.

use super::{
    Random, STEPS_MAX,
    trace::{Act, Trace},
};
use factum_app::world::BoxFuture;
use factum_core::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// When the clock begins: 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000_000);

/// The future of a run itself: it has no other task's number.
pub(super) const MAIN: u64 = 0;

/// A world behind its handles.
pub(super) struct Shared {
    pub(super) seed: u64,
    state: Mutex<State>,
}

/// All of it, under one lock that is never held while a task runs or is dropped.
pub(super) struct State {
    pub(super) now: Timestamp,
    pub(super) random: Random,
    pub(super) steps: u64,
    pub(super) steps_max: u64,
    pub(super) step_time_max: Duration,
    pub(super) trace: Trace,
    pub(super) tasks: BTreeMap<u64, Task>,
    /// Who can go on, in an order that does not tell who was woken first: a channel of Tokio draws
    /// the order of its wakes from a source of its own.
    pub(super) ready: BTreeSet<u64>,
    /// Who is polled now.
    pub(super) running: Option<u64>,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    instances: Vec<Instance>,
    /// An instance was killed whose tasks are still there.
    doomed: bool,
    tasks_made: u64,
    timers_made: u64,
    /// What the run's own future did last.
    main: Last,
}

struct Instance {
    name: String,
    killed: bool,
}

/// A task.
pub(super) struct Task {
    instance: usize,
    /// Taken out while it is polled.
    pub(super) future: Option<BoxFuture<'static, ()>>,
    pub(super) last: Last,
}

/// What a task did last, for reports.
#[derive(Default)]
pub(super) struct Last {
    polled: Option<Timestamp>,
    noted: Option<String>,
}

/// So much later; never past the end of time.
pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_add(nanos))
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        let whole = Instance { name: "the run".into(), killed: false };
        let state = State {
            now: BEGIN,
            random: Random::seeded(seed),
            steps: 0,
            steps_max: STEPS_MAX,
            step_time_max: Duration::ZERO,
            trace: Trace::default(),
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            running: None,
            timers: BTreeMap::new(),
            instances: vec![whole],
            doomed: false,
            tasks_made: MAIN,
            timers_made: 0,
            main: Last::default(),
        };
        Self { seed, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spawn(&self, instance: usize, future: BoxFuture<'static, ()>) {
        let mut state = self.lock();
        if state.is_killed(instance) {
            drop(state);
            return drop(future);
        }
        state.tasks_made += 1;
        let id = state.tasks_made;
        state.tasks.insert(id, Task { instance, future: Some(future), last: Last::default() });
        state.ready.insert(id);
        state.record(id, Act::Spawned);
    }

    pub(super) fn kill(&self, instance: usize) {
        let mut state = self.lock();
        if let Some(instance) = state.instances.get_mut(instance) {
            instance.killed = true;
        }
        state.doomed = true;
        let is_running = state.running.is_some();
        drop(state);
        // Inside of a task, the executor does it once that task has paused: a future that is
        // dropped may want a lock that the task holds.
        if !is_running {
            self.bury();
        }
    }

    /// Drops the tasks of who was killed.
    pub(super) fn bury(&self) {
        let mut state = self.lock();
        if !std::mem::take(&mut state.doomed) {
            return;
        }
        let ids: Vec<u64> = state.tasks.keys().copied().filter(|id| state.is_dead(*id)).collect();
        let mut dead = Vec::new();
        for id in ids {
            state.record(id, Act::Dropped);
            dead.extend(state.tasks.remove(&id));
            state.ready.remove(&id);
        }
        drop(state);
        drop(dead);
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.instances.iter_mut().for_each(|instance| instance.killed = true);
        let tasks = std::mem::take(&mut state.tasks);
        let timers = std::mem::take(&mut state.timers);
        state.ready.clear();
        drop(state);
        drop((tasks, timers));
    }

    /// Wakes who has slept enough by now.
    pub(super) fn ring(&self) {
        let mut state = self.lock();
        let now = state.now;
        let later = state.timers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }
}

impl State {
    pub(super) fn add_instance(&mut self, name: &str) -> usize {
        self.instances.push(Instance { name: name.to_owned(), killed: false });
        self.instances.len() - 1
    }

    pub(super) fn is_killed(&self, instance: usize) -> bool {
        self.instances.get(instance).is_some_and(|one| one.killed)
    }

    pub(super) fn is_dead(&self, task: u64) -> bool {
        self.tasks.get(&task).is_some_and(|task| self.is_killed(task.instance))
    }

    pub(super) fn record(&mut self, task: u64, act: Act) {
        if act == Act::Polled {
            self.last(task).polled = Some(self.now);
        }
        self.trace.add(self.now, task, act);
    }

    pub(super) fn note(&mut self, text: &dyn fmt::Display) {
        let task = self.running.unwrap_or(MAIN);
        let text = text.to_string();
        self.last(task).noted = Some(text.clone());
        self.record(task, Act::Noted(text));
    }

    fn last(&mut self, task: u64) -> &mut Last {
        match self.tasks.get_mut(&task) {
            Some(task) => &mut task.last,
            None => &mut self.main,
        }
    }

    pub(super) fn name_of(&self, task: u64) -> String {
        if task == MAIN {
            return "the run itself".into();
        }
        let instance = self.tasks.get(&task).map_or(0, |task| task.instance);
        match self.instances.get(instance) {
            Some(one) if instance != 0 => format!("task {task} of {}", one.name),
            _ => format!("task {task}"),
        }
    }

    /// Each task that there is, and what it did last.
    pub(super) fn report(&self) -> String {
        let tasks = self.tasks.iter().map(|(id, task)| (*id, &task.last));
        let line = |(id, last): (u64, &Last)| {
            let since = last.polled.map_or_else(|| "never ran".into(), |at| self.trace.since(at));
            let noted = last.noted.as_deref().unwrap_or("(it noted nothing)");
            format!("\n  {}: last ran {since}: {noted}", self.name_of(id))
        };
        std::iter::once((MAIN, &self.main)).chain(tasks).map(line).collect()
    }

    /// When the next sleeper is due.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.keys().next().map(|(at, _)| *at)
    }
}

/// Wakes one task.
pub(super) struct TaskWaker {
    shared: Weak<Shared>,
    task: u64,
}

impl TaskWaker {
    pub(super) fn of(shared: &Arc<Shared>, task: u64) -> Waker {
        Waker::from(Arc::new(Self { shared: Arc::downgrade(shared), task }))
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            if self.task == MAIN || state.tasks.contains_key(&self.task) {
                state.ready.insert(self.task);
            }
        }
    }
}

/// Resolves when the clock has reached a time.
pub(super) struct Sleep {
    shared: Arc<Shared>,
    until: Timestamp,
    timer: Option<(Timestamp, u64)>,
}

impl Sleep {
    pub(super) fn new(shared: &Arc<Shared>, how_long: Duration) -> Self {
        let until = later(shared.lock().now, how_long);
        Self { shared: shared.clone(), until, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let key = self.timer.unwrap_or_else(|| {
            state.timers_made += 1;
            (self.until, state.timers_made)
        });
        self.timer = Some(key);
        let before = state.timers.insert(key, context.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.timer.and_then(|key| self.shared.lock().timers.remove(&key));
        drop(waker);
    }
}
