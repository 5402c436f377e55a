//! An app that says of itself what it is made of: which commands lead to which events, who reads
//! them, and what leaves the service.
//!
//! It is what the registrations and the derives know, so it is never out of date with the code; a
//! test holds the documents that are made of it ([`check`]) to that too. Pure: nothing runs.

mod asyncapi;
mod check;
mod mermaid;
mod schemas;

pub use check::{UPDATE, check};

use crate::{
    App, AppBuilder, Decision, Metadata, Publication,
    decision::{CommandSet, Parts},
    event::{EventInfo, EventSet, Members},
    lock::canonical,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an app is made of.
///
/// ```
/// # use factum_app::{App, Envelope, MemoryStore, OnError, Projection, Row, event};
/// # use serde::{Deserialize, Serialize};
/// # #[event("lamp.switched")]
/// # struct Switched { #[tag] lamp: u32, on: bool }
/// # #[derive(Clone, Serialize, Deserialize)]
/// # struct LampNow { on: bool }
/// # impl Projection for LampNow {
/// #     const NAME: &'static str = "lamp-now";
/// #     type Event = Switched;
/// #     fn apply(row: &mut Row<Self>, e: &Envelope<Switched>) {
/// #         row.set(LampNow { on: e.event.on });
/// #     }
/// # }
/// let builder = App::builder(MemoryStore::new()).projection::<LampNow>(OnError::Park);
/// assert!(builder.describe().mermaid().contains("lamp.switched"));
/// ```
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The service, where the builder was told its name.
    pub service: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its decisions, as far as they were named ([`AppBuilder::decision`]).
    pub decisions: Vec<DecisionInfo>,
    /// All who follow events, in the order of their registration.
    pub followers: Vec<Follower>,
    /// Every event that one of them writes or reads, by name and version.
    pub events: Vec<Described>,
}

/// Commands that are decided together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecisionInfo {
    /// The name of the command, or what the names of all of them begin with.
    pub name: String,
    /// The names of the commands.
    pub commands: Vec<String>,
    /// The events that may come of them, by name: those of the state that they read.
    pub emits: Vec<String>,
}

/// Somebody who follows events.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Follower {
    /// Its pinned name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The events that it reads, by name.
    pub reads: Vec<String>,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What somebody does who follows events.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// It keeps rows.
    Projection,
    /// It sends commands.
    Process {
        /// The names of those that it may send.
        sends: Vec<String>,
    },
    /// It does what its author wants.
    Handler,
    /// It tells others.
    Publication {
        /// The integration events that leave the service.
        messages: Vec<Described>,
    },
}

/// An event, or an integration event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Described {
    /// Its pinned name.
    pub name: String,
    /// The version that is written.
    pub version: u32,
    /// Which stream it goes to, `order-{order}`; of an integration event what it is in order with.
    pub stream: String,
    /// The keys of its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The topic of an integration event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The JSON Schema of its payload, as `events.lock` has it.
    pub schema: Value,
}

impl Described {
    fn of(info: &EventInfo, topic: Option<String>) -> Self {
        Self {
            name: info.event_type.to_owned(),
            version: info.version,
            stream: info.stream.to_string(),
            tags: info.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            topic,
            schema: canonical((info.schema)().as_value()),
        }
    }
}

/// What was registered so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registered {
    decisions: Vec<DecisionInfo>,
    followers: Vec<Follower>,
    members: Vec<&'static Members>,
}

impl Registered {
    /// Somebody who follows the events of a set; once, in however many parts it runs.
    pub(crate) fn follow<E: EventSet>(&mut self, name: &str, version: u32, kind: Kind) {
        let reads = names(E::MEMBERS);
        self.members.push(E::MEMBERS);
        self.followers.push(Follower { name: name.to_owned(), version, reads, kind });
    }

    fn decide<D: Decision>(&mut self) {
        let members = <<D::State as Parts>::Event as EventSet>::MEMBERS;
        self.members.push(members);
        self.decisions.push(DecisionInfo {
            name: D::NAME.to_owned(),
            commands: D::NAMES.iter().map(|name| (*name).to_owned()).collect(),
            emits: names(members),
        });
    }

    fn describe(&self, known: &Metadata) -> Description {
        let all = self.members.iter().flat_map(|members| members.current());
        let mut events: Vec<_> = all.map(|info| Described::of(info, None)).collect();
        events.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        events.dedup_by(|a, b| (&a.name, a.version) == (&b.name, b.version));
        Description {
            service: known.service.clone(),
            version: known.service_version.clone(),
            decisions: self.decisions.clone(),
            followers: self.followers.clone(),
            events,
        }
    }
}

/// The names of a set, in its order.
fn names(members: &'static Members) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for info in members.current() {
        if names.iter().all(|name| name != info.event_type) {
            names.push(info.event_type.to_owned());
        }
    }
    names
}

impl Kind {
    /// A process that sends these.
    pub(crate) fn process<C: CommandSet>() -> Self {
        Self::Process { sends: C::names().into_iter().map(str::to_owned).collect() }
    }

    /// A publication of these.
    pub(crate) fn publication<P: Publication>() -> Self {
        let messages = <P::Message as EventSet>::MEMBERS.current();
        let topic = |info: &EventInfo| P::TOPIC.unwrap_or(info.event_type).to_owned();
        let described = |info| Described::of(info, Some(topic(info)));
        Self::Publication { messages: messages.into_iter().map(described).collect() }
    }
}

impl AppBuilder {
    /// Names a decision, for [`App::describe`]: nothing else needs to know of it, as a command
    /// brings its decision with it.
    pub fn decision<D: Decision>(mut self) -> Self {
        self.registered.decide::<D>();
        self
    }

    /// What the app is going to be made of.
    #[must_use]
    pub fn describe(&self) -> Description {
        self.registered.describe(self.known())
    }
}

impl App {
    /// What it is made of: who was registered, and which decisions were named.
    #[must_use]
    pub fn describe(&self) -> Description {
        self.registered().describe(self.known())
    }
}
