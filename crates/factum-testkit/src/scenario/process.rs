//! Processes: which commands and timers follow from the facts.
//!
//! The facts are taken in their order, each at its time; a timer goes off when the time of a later
//! fact, or that of the scenario, has come. No command is done: each is answered at once, with
//! [`Reply::Done`] unless the scenario says otherwise.

use super::{
    facts::Given,
    show::{self, Shown},
};
use factum_app::{
    CommandSet, Process, Reply,
    event::{EventSet, Raw},
    process::{Input, Move, Steps},
};
use factum_core::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// What a process wanted after the facts.
pub struct Following<P: Process> {
    given: Given,
    sent: Vec<P::Command>,
    instances: BTreeMap<String, Instance<P>>,
    answer: Answer<P>,
}

type Answer<P> = Box<dyn Fn(&<P as Process>::Command) -> Reply>;

/// When a timer goes off, and the command that is sent then; without one the process is told.
type Timer<P> = (Timestamp, Option<<P as Process>::Command>);

/// One instance, as far as a scenario follows it.
struct Instance<P: Process> {
    state: P,
    running: bool,
    timers: BTreeMap<String, Timer<P>>,
    undo: Vec<P::Command>,
    failed: Option<String>,
}

impl<P: Process> Instance<P> {
    fn new() -> Self {
        let (timers, undo) = (BTreeMap::new(), Vec::new());
        Self { state: P::default(), running: true, timers, undo, failed: None }
    }
}

impl<P: Process> Following<P> {
    #[track_caller]
    pub(super) fn new(given: Given, answer: Answer<P>) -> Self {
        let mut all = Self { given, sent: Vec::new(), instances: BTreeMap::new(), answer };
        for recorded in all.given.stage().recorded() {
            all.pass(recorded.recorded_at());
            match P::Event::decode(&Raw::of(&recorded)) {
                Ok(decoded) => decoded.for_each(|event| all.take(event, recorded.recorded_at())),
                Err(error) => panic!("{}{error}", all.head()),
            }
        }
        all.pass(all.given.now());
        all
    }

    /// One event, at its time.
    fn take(&mut self, event: P::Event, at: Timestamp) {
        let route = P::route(&event);
        let Some(key) = route.key().map(str::to_owned) else { return };
        let running = self.instances.get(&key).is_some_and(|one| one.running);
        if !running && !route.starts() {
            return;
        }
        if !running {
            self.instances.insert(key.clone(), Instance::new());
        }
        self.react(&key, Input::Event(event), at);
        if let Some(one) = self.instances.get_mut(&key).filter(|_| route.stops()) {
            one.running = false;
            one.timers.clear();
        }
    }

    /// Every timer that is due by then goes off, the first first.
    fn pass(&mut self, until: Timestamp) {
        loop {
            let timers = self.instances.iter().filter(|(_, one)| one.running);
            let due = timers.flat_map(|(key, one)| {
                one.timers.iter().map(move |(name, (at, _))| (*at, key.clone(), name.clone()))
            });
            let Some((at, key, name)) = due.min().filter(|(at, ..)| *at <= until) else { return };
            let one = self.instances.get_mut(&key);
            match one.and_then(|one| one.timers.remove(&name)) {
                Some((_, Some(command))) => {
                    self.sent.push(command.clone());
                    self.answer(&key, VecDeque::from([command]), at);
                }
                _ => self.react(&key, Input::TimedOut(&name), at),
            }
        }
    }

    /// An input and everything that follows from it at once: commands and their replies.
    fn react(&mut self, key: &str, input: Input<'_, P>, at: Timestamp) {
        let mut replies = VecDeque::new();
        self.step(key, input, at, &mut replies);
        self.answer(key, replies, at);
    }

    /// Answers what was sent, and what is sent because of it.
    fn answer(&mut self, key: &str, mut replies: VecDeque<P::Command>, at: Timestamp) {
        while let Some(command) = replies.pop_front() {
            let reply = (self.answer)(&command);
            if self.instances.get(key).is_some_and(|one| one.running) {
                self.step(key, Input::Replied(command, reply), at, &mut replies);
            }
        }
    }

    fn step(
        &mut self,
        key: &str,
        input: Input<'_, P>,
        at: Timestamp,
        replies: &mut VecDeque<P::Command>,
    ) {
        let Some(one) = self.instances.get_mut(key) else { return };
        let steps = one.state.react(input, Steps::new(at, key));
        for wanted in steps.moves() {
            match wanted.clone() {
                Move::Send(command) | Move::Try(command, _) => {
                    self.sent.push(command.clone());
                    replies.push_back(command);
                }
                Move::CompensateWith(command) => one.undo.push(command),
                Move::At(at, name) => drop(one.timers.insert(name, (at, None))),
                Move::SendAt(at, command) => {
                    let name = command.name().to_owned();
                    one.timers.insert(name, (at, Some(command)));
                }
                Move::Cancel(name) => drop(one.timers.remove(&name)),
                Move::End => one.running = false,
                Move::Fail(reason) => {
                    one.running = false;
                    one.failed = Some(reason);
                    self.sent.extend(one.undo.drain(..).rev());
                }
            }
        }
        if !one.running {
            one.timers.clear();
        }
    }

    /// Then these commands were sent, in this order, those that undo others too.
    ///
    /// # Panics
    ///
    /// They are others; the text shows where they differ.
    #[track_caller]
    pub fn then_commands(self, commands: impl IntoIterator<Item = impl Into<P::Command>>) -> Self {
        let want: Vec<Shown> = commands.into_iter().map(|one| shown(&one.into())).collect();
        let got: Vec<Shown> = self.sent.iter().map(shown).collect();
        if got != want {
            let shown = show::difference(&got, &want, "sent");
            panic!("{}other commands than expected\n{shown}", self.head());
        }
        self
    }

    /// Then no command was sent.
    ///
    /// # Panics
    ///
    /// One was.
    #[track_caller]
    pub fn then_no_commands(self) -> Self {
        let none: [P::Command; 0] = [];
        self.then_commands(none)
    }

    /// Then no timer is set.
    ///
    /// # Panics
    ///
    /// One is.
    #[track_caller]
    pub fn then_no_timers(self) -> Self {
        self.then_timers::<&str>([])
    }

    /// Then these timers are set, by instance, name and time, and no others.
    ///
    /// # Panics
    ///
    /// They are others; the text shows where they differ.
    #[track_caller]
    pub fn then_timers<K: ToString>(
        self,
        timers: impl IntoIterator<Item = (K, &'static str, Timestamp)>,
    ) -> Self {
        let timers = timers.into_iter();
        let mut want: Vec<(String, String, Timestamp)> =
            timers.map(|(key, name, at)| (key.to_string(), name.to_owned(), at)).collect();
        want.sort();
        let set = self.instances.iter().flat_map(|(key, one)| {
            one.timers.iter().map(|(name, (at, _))| (key.clone(), name.clone(), *at))
        });
        let got: Vec<_> = set.collect();
        if got != want {
            let shown = crate::difference::of(&got, &want);
            panic!("{}other timers than expected (- expected, + set)\n{shown}", self.head());
        }
        self
    }

    /// Then this instance has ended, all well.
    ///
    /// # Panics
    ///
    /// It never began, runs yet, or failed.
    #[track_caller]
    pub fn then_ended(self, key: impl ToString) -> Self {
        let (key, head) = (key.to_string(), self.head());
        match self.instances.get(&key) {
            None => panic!("{head}{key} never began"),
            Some(one) if one.running => panic!("{head}{key} has not ended"),
            Some(Instance { failed: Some(reason), .. }) => panic!("{head}{key} failed: {reason}"),
            Some(_) => self,
        }
    }

    /// Then this instance has failed for this reason.
    ///
    /// # Panics
    ///
    /// It has not, or for another one.
    #[track_caller]
    pub fn then_failed(self, key: impl ToString, reason: &str) -> Self {
        let (key, head) = (key.to_string(), self.head());
        match self.instances.get(&key).map(|one| one.failed.as_deref()) {
            Some(Some(is)) if is == reason => self,
            Some(Some(is)) => panic!("{head}{key} failed, but because: {is}"),
            Some(None) => panic!("{head}{key} has not failed"),
            None => panic!("{head}{key} never began"),
        }
    }

    /// Goes on with the same facts.
    pub fn and_given(self) -> Given {
        self.given
    }

    fn head(&self) -> String {
        format!("{}then of process {} ", show::given(&self.given.facts), P::NAME)
    }
}

fn shown<C: CommandSet>(command: &C) -> Shown {
    Shown::of_command(command)
}
