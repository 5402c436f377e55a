//! What is chosen when a consumer is registered: above all what becomes of an event that fails.

use crate::event::{DecodePolicy, EventSet, Unknown};
use factum_core::{EventType, InvalidName, Item, Query, Tag};
use std::time::Duration;

/// What becomes of an event that cannot be handled. There is no default: somebody chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// The consumer stops before it, until somebody resumes it.
    Stop,
    /// It is handled again, after pauses that grow; what cannot be decoded is not.
    Retry {
        /// How often more, at most.
        attempts: u32,
        /// The longest first pause; each further one may be twice as long, up to a minute.
        first: Duration,
        /// What becomes of it in the end.
        then: Finally,
    },
    /// It is put aside, and what comes later for the same key waits behind it. Other keys go on.
    Park,
    /// It is counted and left out.
    Skip,
}

/// What becomes of an event when it was tried often enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finally {
    /// As [`OnError::Stop`].
    Stop,
    /// As [`OnError::Park`].
    Park,
    /// As [`OnError::Skip`].
    Skip,
}

impl OnError {
    /// Up to `attempts` more attempts, from a pause of 50 ms on, and `then` this.
    #[must_use]
    pub fn retry(attempts: u32, then: Finally) -> Self {
        Self::Retry { attempts, first: Duration::from_millis(50), then }
    }

    /// What is done when no further attempt is made.
    pub(crate) fn finally(self) -> Finally {
        match self {
            Self::Stop => Finally::Stop,
            Self::Park => Finally::Park,
            Self::Skip => Finally::Skip,
            Self::Retry { then, .. } => then,
        }
    }
}

/// How a consumer is registered: a policy, and what else is not as usual.
///
/// ```
/// use factum_app::consumer::{OnError, Options};
/// let options = Options::from(OnError::Park).category("order").skip_newer();
/// ```
#[derive(Clone, Debug)]
#[must_use = "options are for a registration"]
pub struct Options {
    pub(crate) on_error: OnError,
    pub(crate) narrow: Item,
    pub(crate) decode: DecodePolicy,
    pub(crate) skip_newer: bool,
    pub(crate) partitions: u32,
}

impl From<OnError> for Options {
    fn from(on_error: OnError) -> Self {
        let (narrow, decode) = (Item::default(), DecodePolicy::default());
        Self { on_error, narrow, decode, skip_newer: false, partitions: 1 }
    }
}

impl Options {
    /// Only events of streams of this category, or of another that was named so.
    pub fn category(mut self, category: &str) -> Self {
        self.narrow.categories.push(category.into());
        self
    }

    /// Only events with this tag, and with all others that were named so.
    pub fn tag(mut self, tag: Tag) -> Self {
        self.narrow.tags.push(tag);
        self
    }

    /// Another way with types that are not of its set, and with versions above those it knows.
    pub fn decode(mut self, decode: DecodePolicy) -> Self {
        self.decode = decode;
        self
    }

    /// What a newer release wrote is counted and left out, whatever the policy says.
    pub fn skip_newer(mut self) -> Self {
        self.skip_newer = true;
        self
    }

    /// So many parts, side by side, each with the keys that fall to it and a checkpoint of its own.
    /// At least one. A new number is a new layout: what is built by key is built anew.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions.max(1);
        self
    }
}

/// What a consumer is called, what it follows, and how.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name; an app has each once.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// What it follows.
    pub query: Query,
    /// What becomes of what fails.
    pub on_error: OnError,
    /// What is done about types and versions that it does not know.
    pub decode: DecodePolicy,
    /// What a newer release wrote is left out.
    pub skip_newer: bool,
}

impl Spec {
    /// One that follows the events of a set.
    ///
    /// # Errors
    ///
    /// A name of an event in the set is none: it is empty, too long, or holds a NUL.
    pub fn of<E: EventSet>(
        name: impl Into<String>,
        version: u32,
        options: &Options,
    ) -> Result<Self, InvalidName> {
        let query = query_of::<E>(&options.narrow, options.decode.unknown)?;
        let Options { on_error, decode, skip_newer, .. } = *options;
        let name = name.into();
        Ok(Self { name, version, query, on_error, decode, skip_newer })
    }
}

/// The events of a set, narrowed; where unknown types are refused, all types, to find them.
pub(crate) fn query_of<E: EventSet>(narrow: &Item, unknown: Unknown) -> Result<Query, InvalidName> {
    let narrow = narrow.clone();
    Ok(match unknown {
        Unknown::Skip => Item { types: types_of::<E>()?, ..narrow }.into(),
        Unknown::Refuse if narrow.restricts() => narrow.into(),
        Unknown::Refuse => Query::All,
    })
}

/// The names of a set as they may be stored: `order.placed`, and `order.placed.v2` where there is a
/// version 2.
fn types_of<E: EventSet>() -> Result<Vec<EventType>, InvalidName> {
    let mut types = Vec::new();
    for info in E::MEMBERS.list() {
        types.push(EventType::new(info.event_type)?);
        for version in 1..=info.version {
            types.push(EventType::new(&format!("{}.v{version}", info.event_type))?);
        }
    }
    Ok(types)
}
