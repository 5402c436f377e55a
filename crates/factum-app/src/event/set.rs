//! Sets of events: what one consumer knows, as an enum to match on.

use super::{DecodeError, Decoded, Event, Members, Raw, StreamRule};
use crate::personal;
use factum_core::{InvalidName, StreamName, Tag, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// What is known of an event before there is one.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// The pinned name.
    pub event_type: &'static str,
    /// The version of now.
    pub version: u32,
    /// The keys of its tags.
    pub tags: &'static [&'static str],
    /// Which stream it goes to.
    pub stream: StreamRule,
    /// The version before, where it follows one.
    pub old: Option<&'static EventInfo>,
    /// The JSON Schema of its payload.
    pub schema: fn() -> Schema,
}

/// The JSON Schema of a type.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

/// The events that one consumer knows. An event alone is a set of one.
///
/// ```
/// use factum_app::{EventSet, event};
///
/// #[event("order.placed")]
/// struct OrderPlaced { #[tag] order: u64, total: u32 }
/// #[event("order.cancelled")]
/// struct OrderCancelled { #[tag] order: u64 }
///
/// #[derive(Clone, Debug, EventSet)]
/// enum OrderEvent {
///     Placed(OrderPlaced),
///     Cancelled(OrderCancelled),
/// }
///
/// let event = OrderEvent::from(OrderCancelled { order: 7 });
/// assert_eq!(event.info().event_type, "order.cancelled");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an event nor a set of events",
    label = "not a set of events",
    note = "write `#[derive(Clone, Debug, EventSet)]` above an enum with one event a variant"
)]
pub trait EventSet: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Its members, in the order of the enum.
    const MEMBERS: &'static Members;

    /// Whether it has several versions of one event as variants, each taking its own.
    const SIDE_BY_SIDE: bool = Self::MEMBERS.side_by_side();

    /// From what is stored; [`Decoded::Skip`] where the type is not of this set.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names the position, the type and the version.
    fn decode(raw: &Raw<'_>) -> Result<Decoded<Self>, DecodeError>;

    /// What is known of this one's type.
    fn info(&self) -> &'static EventInfo;

    /// The stream that this one goes to. See [`Event::stream`].
    ///
    /// # Errors
    ///
    /// As there.
    fn stream(&self) -> Result<StreamName, InvalidName>;

    /// The tags of this one. See [`Event::tags`].
    ///
    /// # Errors
    ///
    /// As there.
    fn tags(&self) -> Result<Vec<Tag>, InvalidName>;

    /// The values of its tags, with their keys.
    fn tag_values(&self) -> Vec<(&'static str, String)>;

    /// When this one happened, where it says so.
    fn occurred_at(&self) -> Option<Timestamp>;

    /// This one as JSON.
    ///
    /// # Errors
    ///
    /// As its `Serialize`: a map whose keys are no strings, or an error of its own.
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;
}

#[diagnostic::do_not_recommend]
impl<E: Event> EventSet for E {
    const MEMBERS: &'static Members = &Members::One(E::INFO);

    fn decode(raw: &Raw<'_>) -> Result<Decoded<Self>, DecodeError> {
        if raw.event_type != E::TYPE || raw.only.is_some_and(|version| version != E::VERSION) {
            return Ok(Decoded::Skip);
        }
        <E as Event>::decode(raw).map(Decoded::One)
    }

    fn info(&self) -> &'static EventInfo {
        const { &E::INFO }
    }

    fn stream(&self) -> Result<StreamName, InvalidName> {
        Event::stream(self)
    }

    fn tags(&self) -> Result<Vec<Tag>, InvalidName> {
        Event::tags(self)
    }

    fn tag_values(&self) -> Vec<(&'static str, String)> {
        Event::tag_values(self)
    }

    fn occurred_at(&self) -> Option<Timestamp> {
        Event::occurred_at(self)
    }

    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        if E::PERSONAL.is_empty() { serde_json::to_vec(self) } else { personal::marked(self) }
    }
}
