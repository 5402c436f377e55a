//! Projections: events become rows, by key.
//!
//! `apply` is pure. The same one is used for the rows that are kept (a consumer, with its
//! checkpoint in the transaction of its rows), for those made on demand ([`crate::App::live`]), and
//! for a whole view as it was ([`crate::App::view_as_of`]).

pub mod target;

mod apply;
mod fold;
mod inline;
mod keeping;
mod key;
mod memory;
mod projector;
mod redrive;
mod register;
mod row;

pub use apply::{ApplyError, apply};
pub use fold::FoldError;
pub use inline::{Inline, InlineError, MISSED_MAX, inline_changes, inline_keys};
pub use keeping::Keeping;
pub use key::{Key, keys_of};
pub use memory::MemoryTarget;
pub use row::Row;
pub use target::{Mark, Target, TargetError};

pub(crate) use fold::Fold;
pub(crate) use inline::Inlined;
pub(crate) use key::part_of;
pub(crate) use projector::decode;
pub(crate) use register::{Registered, Views};

use crate::{Envelope, event::EventSet};
use serde::{Serialize, de::DeserializeOwned};

/// A projection: the type is that of a row. Where a row is no more than the fold of a
/// [`State`](crate::State), [`macro@crate::projection`] above the state is enough.
///
/// ```
/// use factum_app::{App, Envelope, MemoryStore, OnError, Projection, Row, event};
/// use serde::{Deserialize, Serialize};
///
/// #[event("lamp.switched")]
/// struct Switched { #[tag] lamp: u32, on: bool }
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct LampNow { on: bool }
/// impl Projection for LampNow {
///     const NAME: &'static str = "lamp-now";
///     const VERSION: u32 = 1;
///     type Event = Switched;
///     fn apply(row: &mut Row<Self>, e: &Envelope<Switched>) {
///         row.set(LampNow { on: e.event.on });
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder(MemoryStore::new()).projection::<LampNow>(OnError::Park).start().await?;
/// assert!(app.view::<LampNow>().get(7).await?.is_none());
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection",
    label = "no `Projection`",
    note = "write `impl Projection for {Self}`: a pinned NAME, the events it reads, and `apply`"
)]
pub trait Projection: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The pinned name of the view.
    const NAME: &'static str;

    /// The version of the row and of `apply`. A new one is built beside the one before, from the
    /// first event on.
    const VERSION: u32 = 1;

    /// What the key of a row is.
    const KEY: Key = Key::Stream;

    /// The events it reads.
    type Event: EventSet;

    /// One event, applied to a row. Called for each of the event's keys. Pure: what it does depends
    /// on its arguments only.
    fn apply(row: &mut Row<Self>, event: &Envelope<Self::Event>);

    /// The rows that an event is about: by default what [`Projection::KEY`] says. Who writes it
    /// sets that to [`Key::Computed`].
    #[must_use]
    fn keys(event: &Envelope<Self::Event>) -> Vec<String> {
        keys_of(Self::KEY, event)
    }

    /// A row of an older version, read until this one has caught up; `None` where it says nothing
    /// any more. By default the row as it is, where it fits.
    #[must_use]
    fn from_older(_version: u32, row: serde_json::Value) -> Option<Self> {
        serde_json::from_value(row).ok()
    }
}
