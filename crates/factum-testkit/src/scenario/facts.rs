//! What is given: facts, the time, and who asks.

use super::{decision::When, process::Following, projection::Rows, show};
use crate::{SimWorld, build::Ids, world::later};
use factum_app::{
    App, Boundary, Decision, Metadata, Process, Projection, Reply, State,
    event::{Draft, EventSet, Raw},
};
use factum_core::{
    AnyStore, Append, EventStore, MemoryStore, Query, Read, RecordedEvent, Timestamp,
};
use std::{sync::Arc, time::Duration};

/// When a scenario plays that says nothing about it: 2026-01-01T00:00:00Z.
const NOW: Timestamp = Timestamp(1_767_225_600_000_000_000);

/// What a scenario begins with. Made by [`given`] or [`given_nothing`].
#[derive(Clone, Debug)]
pub struct Given {
    pub(super) facts: Vec<Fact>,
    now: Timestamp,
    pub(super) metadata: Metadata,
}

/// A fact, ready to be stored, and when it was recorded.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) draft: Draft,
    recorded_at: Timestamp,
}

/// An app over the facts of a scenario.
pub(super) struct Stage {
    pub(super) world: SimWorld,
    pub(super) app: App,
}

/// These facts, in this order. Those of another set follow with [`Given::and`].
#[track_caller]
pub fn given<E: EventSet>(events: impl IntoIterator<Item = E>) -> Given {
    given_nothing().and(events)
}

/// An empty store.
#[must_use]
pub fn given_nothing() -> Given {
    Given { facts: Vec::new(), now: NOW, metadata: Metadata::default() }
}

impl Given {
    /// And then these facts.
    ///
    /// # Panics
    ///
    /// One cannot be stored: its stream or a tag makes no name, or it does not become JSON.
    #[must_use]
    #[track_caller]
    pub fn and<E: EventSet>(mut self, events: impl IntoIterator<Item = E>) -> Self {
        for event in events {
            let id = Ids::seeded(self.facts.len() as u64).next();
            match Draft::new(&event, id, &self.metadata) {
                Ok(draft) => self.facts.push(Fact { draft, recorded_at: self.now }),
                Err(error) => panic!("this fact cannot be stored: {error}\n  {event:?}"),
            }
        }
        self
    }

    /// What follows is so much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        let now = later(self.now, by);
        Self { now, ..self }
    }

    /// What follows is at this time. Recorded times do not go back: facts that were given before
    /// stay as they are, and a later fact is never recorded before them.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// What follows is done by somebody, for a tenant, because of something.
    #[must_use]
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }

    /// What follows is done by this actor.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.metadata.actor = Some(actor.into());
        self
    }

    /// When this is asked.
    ///
    /// # Panics
    ///
    /// A fact that was given is outside of what the command reads: it would never have been seen.
    #[must_use = "say what is to come of it: `then_events`, `then_nothing`, `then_refused`"]
    #[track_caller]
    pub fn when<D: Decision>(self, command: D) -> When<D> {
        When::new(self, command)
    }

    /// The rows of a projection after all of these facts.
    ///
    /// # Panics
    ///
    /// A fact cannot be decoded or applied.
    #[must_use = "say which rows there are to be: `then_rows`, `then_row`"]
    #[track_caller]
    pub fn project<P: Projection>(self) -> Rows<P> {
        Rows::new(self)
    }

    /// What follows from all of these facts by a process, up to the time of now. Each command is
    /// answered as done.
    ///
    /// # Panics
    ///
    /// A fact cannot be decoded.
    #[must_use = "say what is to follow: `then_commands`, `then_timers`, `then_ended`"]
    #[track_caller]
    pub fn process<P: Process>(self) -> Following<P> {
        self.process_answering(|_| Reply::Done)
    }

    /// The same, with an answer to each command.
    ///
    /// # Panics
    ///
    /// A fact cannot be decoded.
    #[must_use = "say what is to follow: `then_commands`, `then_timers`, `then_failed`"]
    #[track_caller]
    pub fn process_answering<P: Process>(
        self,
        answer: impl Fn(&P::Command) -> Reply + 'static,
    ) -> Following<P> {
        Following::new(self, Box::new(answer))
    }

    /// The time of now.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The state that all of these facts come to, those that its set knows.
    ///
    /// # Panics
    ///
    /// A fact cannot be decoded.
    #[must_use]
    #[track_caller]
    pub fn state<S: State>(&self) -> S {
        let mut state = S::default();
        for recorded in self.stage().recorded() {
            match S::Event::decode(&Raw::of(&recorded)) {
                Ok(decoded) => decoded.for_each(|event| {
                    state = std::mem::take(&mut state).evolve(&event);
                }),
                Err(error) => panic!("{}{error}", show::given(&self.facts)),
            }
        }
        state
    }

    /// An app over a store with these facts, at the time of now.
    pub(super) fn stage(&self) -> Stage {
        let first = self.facts.first().map_or(self.now, |fact| fact.recorded_at);
        let world = SimWorld::new(0).starting_at(first);
        let store = AnyStore::new(MemoryStore::with_clock(world.clock()));
        for Fact { draft, recorded_at } in &self.facts {
            world.set_clock(*recorded_at);
            let append = Append::to(draft.stream.clone(), [draft.data.clone()]);
            let appended = world.run(store.append(append));
            if let Err(error) = appended {
                panic!("{}a fact cannot be stored: {error}", show::given(&self.facts));
            }
        }
        world.set_clock(self.now);
        let app = App::builder(store).world(Arc::new(world.clone())).build();
        Stage { world, app }
    }

    /// Facts that none of the boundaries sees, by their numbers, from 0.
    pub(super) fn unseen(&self, boundaries: &[&Boundary]) -> Vec<usize> {
        let unseen = |(_, fact): &(usize, &Fact)| {
            let Draft { stream, data } = &fact.draft;
            !boundaries.iter().any(|one| one.sees(stream, &data.event_type, &data.tags))
        };
        self.facts.iter().enumerate().filter(unseen).map(|(at, _)| at).collect()
    }

    /// The same, and what was stored since.
    pub(super) fn with_stored(mut self, stored: &[RecordedEvent]) -> Self {
        self.facts.extend(stored.iter().map(|event| Fact {
            draft: Draft { stream: event.stream().clone(), data: event.to_data() },
            recorded_at: event.recorded_at(),
        }));
        self
    }
}

impl Stage {
    /// Everything that is stored.
    pub(super) fn recorded(&self) -> Vec<RecordedEvent> {
        let read = self.app.store().read(Read::query(Query::All));
        let events = self.world.run(async { read.await?.events().await });
        events.expect("a store in memory answers")
    }
}
