//! Events as an application sees them: structs with a pinned name, a version and typed tags, and
//! sets of them that a consumer matches exhaustively.
//!
//! Everything here can be written by hand; the attributes of `factum-macros` only write it for you.

mod decode;
mod draft;
mod history;
mod members;
mod policy;
mod set;
mod stream;
mod upcast;

pub use decode::{DecodeError, Decoded, Decoder, Raw, Why, decode, decode_json};
pub use draft::{Draft, EncodeError};
pub use history::ReadAs;
pub use members::Members;
pub use policy::{DecodePolicy, Newer, Unknown};
pub use set::{EventInfo, EventSet, schema_of};
pub use stream::StreamRule;
pub use upcast::{Chain, Upcast, chain, first};

use crate::personal::PersonalField;
use factum_core::{InvalidName, StreamName, Tag, Timestamp};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// A fact of the domain, in the past tense.
///
/// The name is pinned: it is what is stored, and no default is taken from the name of the Rust
/// type, so that renaming the struct changes nothing. [`macro@crate::event`] implements the trait,
/// and with it what it asks of the struct.
///
/// ```
/// use factum_app::{Event, event};
///
/// #[event("order.placed")]
/// struct OrderPlaced {
///     #[tag]
///     order: u64,
///     total: u32,
/// }
///
/// let placed = OrderPlaced { order: 7, total: 12 };
/// assert_eq!(placed.stream()?.as_str(), "order-7");
/// assert_eq!(placed.tags()?[0].as_str(), "order:7");
/// # Ok::<(), factum_core::InvalidName>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "write `#[event(\"domain.entity.action\")]` above the struct: a pinned name, in the \
            past tense"
)]
pub trait Event:
    Serialize + DeserializeOwned + JsonSchema + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// The pinned name: `order.placed`.
    const TYPE: &'static str;

    /// The version of the struct's shape, from 1.
    const VERSION: u32 = 1;

    /// The keys of its tags, one for each tagged field, in the order of the fields.
    const TAGS: &'static [&'static str] = &[];

    /// Which stream it goes to: by convention the first segment of its name and the value of its
    /// first tag, `order-7`.
    const STREAM: StreamRule;

    /// The version before, where it follows one: see [`Upcast`].
    const OLD: Option<&'static EventInfo> = None;

    /// Its fields with personal data: see [`crate::personal`].
    const PERSONAL: &'static [PersonalField] = &[];

    /// All that is known of it before there is one.
    const INFO: EventInfo = EventInfo {
        event_type: Self::TYPE,
        version: Self::VERSION,
        tags: Self::TAGS,
        stream: Self::STREAM,
        old: Self::OLD,
        schema: schema_of::<Self>,
    };

    /// The values of its tags, with their keys: `("order", "7")`. A key may repeat.
    fn tag_values(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whose data each field of [`Event::PERSONAL`] is: `customer:7`.
    fn subjects(&self) -> Vec<String> {
        Vec::new()
    }

    /// When it happened, where the event itself says so.
    fn occurred_at(&self) -> Option<Timestamp> {
        None
    }

    /// From what is stored: any version from the first that the chain of [`Upcast`]s knows.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names the position, the type and the version.
    fn decode(raw: &Raw<'_>) -> Result<Self, DecodeError>;

    /// The stream that it goes to.
    ///
    /// # Errors
    ///
    /// The value of the tag makes no stream name: it is too long, or holds a NUL.
    fn stream(&self) -> Result<StreamName, InvalidName> {
        Self::STREAM.name(&self.tag_values())
    }

    /// Its tags, `key:value`.
    ///
    /// # Errors
    ///
    /// A value makes no tag: it is too long, or holds a NUL.
    fn tags(&self) -> Result<Vec<Tag>, InvalidName> {
        self.tag_values().iter().map(|(key, value)| tag(key, value)).collect()
    }
}

/// The tag of a value: `key:value`.
///
/// # Errors
///
/// The value is too long, or holds a NUL.
pub fn tag(key: &str, value: &str) -> Result<Tag, InvalidName> {
    Tag::new(&format!("{key}:{value}"))
}
