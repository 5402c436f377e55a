//! What a decision reads, as a fold over events.

use super::Snapshots;
use crate::event::EventSet;

/// A state: the fold of `evolve` over events, from [`Default`] on.
///
/// It is whatever a use case needs to know, not "the" entity: two decisions about an order may read
/// two different states of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state",
    label = "no `State`",
    note = "write `impl State for {Self}`: the events it knows, and `evolve`"
)]
pub trait State: Default + Clone + Send + Sync + 'static {
    /// The events that it knows. A decision emits events of this set.
    type Event: EventSet;

    /// The state after one more event. Pure, and total: a fact cannot be refused.
    #[must_use]
    fn evolve(self, event: &Self::Event) -> Self;

    /// Whether and when the state is kept beside its facts. Not, unless you say so.
    #[must_use]
    fn snapshots() -> Option<Snapshots<Self>> {
        None
    }
}
