//! What must be asked of others before a decision: prices, a clock elsewhere, a service.

use super::{Decision, ExecuteError};

/// Turns what somebody wants into a command that can be decided, by asking others.
///
/// Implement it on what holds your clients. What it finds out becomes fields of the command: facts
/// that may be old by a moment, and that the decision takes as given.
///
/// ```
/// # use factum_app::{App, Ctx, Decision, Gather, Outcome, State, command, emit, event};
/// # #[event("order.placed")] struct OrderPlaced { #[tag] order: u64, cents: u64 }
/// # #[derive(Clone, Default)] struct Order;
/// # impl State for Order {
/// #     type Event = OrderPlaced;
/// #     fn evolve(self, _: &OrderPlaced) -> Self { Order }
/// # }
/// # #[command("order.place")] struct Place { #[tag] order: u64, cents: u64 }
/// # impl Decision for Place {
/// #     type State = Order;
/// #     type Refusal = std::convert::Infallible;
/// #     fn decide(&self, _: &Order, _: &Ctx) -> Outcome<Self> {
/// #         emit(OrderPlaced { order: self.order, cents: self.cents })
/// #     }
/// # }
/// struct Prices; // holds a client
/// struct Ask { order: u64, article: String }
///
/// impl Gather<Ask> for Prices {
///     type Decision = Place;
///     type Error = std::io::Error;
///     async fn gather(&self, ask: Ask) -> Result<Place, std::io::Error> {
///         let cents = 1_200; // asks for ask.article
///         Ok(Place { order: ask.order, cents })
///     }
/// }
/// ```
pub trait Gather<Ask: Send>: Sync {
    /// What it becomes.
    type Decision: Decision;

    /// Why it cannot be asked.
    type Error: std::fmt::Debug + Send;

    /// Asks.
    fn gather(&self, ask: Ask) -> impl Future<Output = Result<Self::Decision, Self::Error>> + Send;
}

/// Why something gathered was not done.
#[derive(thiserror::Error, Debug)]
pub enum GatherError<E, R> {
    /// Others did not answer. Nothing was decided.
    #[error("gathering failed: {0:?}")]
    Gather(E),
    /// The command was not done.
    #[error(transparent)]
    Execute(ExecuteError<R>),
}
