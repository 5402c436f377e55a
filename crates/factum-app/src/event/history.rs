//! Facts that the domain has moved on from: one that is several today, several that are one, one
//! with another name, one that means nothing any more.

use super::Event;

/// What an old fact is to the events of a set today: one, several, or none.
///
/// The struct of the old fact is named in `#[history(…)]` above the set. It is read, and no longer
/// one of its variants, so that nobody has to handle it, and nobody writes it again. What it
/// becomes is decided from that fact alone: what only several old facts together can tell is told
/// by the state that they are folded into, since a consumer that stops between them must lose
/// nothing.
///
/// ```
/// use factum_app::{EventSet, ReadAs, event};
///
/// #[event("order.placed")]
/// struct OrderPlaced { #[tag] order: u32 }
/// #[event("order.item.added")]
/// struct ItemAdded { #[tag] order: u32, article: String }
///
/// // Until last year, an order was placed with its items.
/// #[event("order.submitted")]
/// struct OrderSubmitted { #[tag] order: u32, articles: Vec<String> }
///
/// #[derive(Clone, Debug, EventSet)]
/// #[history(OrderSubmitted)]
/// enum OrderEvent { Placed(OrderPlaced), ItemAdded(ItemAdded) }
///
/// impl ReadAs<OrderEvent> for OrderSubmitted {
///     fn read_as(self) -> Vec<OrderEvent> {
///         let order = self.order;
///         let added = self.articles.into_iter().map(|article| ItemAdded { order, article });
///         let placed = [OrderPlaced { order }.into()];
///         placed.into_iter().chain(added.map(OrderEvent::from)).collect()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "nothing says what `{Self}`, of the history of `{S}`, is today",
    label = "no `ReadAs<{S}>`",
    note = "write `impl ReadAs<{S}> for {Self}`: one event, several, or none"
)]
pub trait ReadAs<S>: Event {
    /// The events that it is read as, in their order. All of them have its position.
    fn read_as(self) -> Vec<S>;
}
