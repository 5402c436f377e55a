//! What leaves the service: integration events, made of the facts within by an explicit mapping.
//!
//! Facts are the service's own affair and change with it; others are promised less, and for longer.
//! So an integration event is an event of a set of its own, with its own name and versions, and
//! nothing leaves that no mapping names. What it holds makes its kind: an id alone is a
//! notification, the fact with what belongs to it is an integration event in the narrow sense, and
//! the whole state ([`Publication::State`]) is event-carried state transfer.

mod receive;
mod relay;

pub use receive::ReceiveError;
pub use relay::MessageError;

use crate::{
    App, Envelope, LoadError, State,
    decision::{Boundary, ReadState},
    event::EventSet,
    message::Outgoing,
};

/// A mapping of facts to integration events.
///
/// Total: each fact becomes a message or none, and none is forgotten. The id of the message is that
/// of the fact, so that it is the same whenever it is sent again; its key is the stream that it
/// would have (`order-7`), and what has one key stays in order.
///
/// ```
/// use factum_app::{Envelope, Publication, State, event, events};
/// # use serde::{Deserialize, Serialize};
///
/// #[events]
/// enum OrderEvent {
///     #[event("order.placed")]
///     OrderPlaced { order: u32, cents: u64 },
///     #[event("order.reviewed")]
///     OrderReviewed { order: u32 },
/// }
///
/// /// What others are told: versions of its own, and only what they need.
/// #[event("shop.order.placed", stream = "order-{order}")]
/// struct Told {
///     #[tag]
///     order: u32,
///     cents: u64,
/// }
///
/// struct Orders;
/// impl Publication for Orders {
///     const NAME: &'static str = "orders";
///     type Event = OrderEvent;
///     type State = ();
///     type Message = Told;
///     fn message(event: &Envelope<OrderEvent>, _: &()) -> Option<Told> {
///         match &event.event {
///             OrderEvent::OrderPlaced(e) => Some(Told { order: e.order, cents: e.cents }),
///             OrderEvent::OrderReviewed(_) => None,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a publication",
    label = "no `Publication`",
    note = "write `impl Publication for {Self}`: a pinned NAME, the facts, the messages, and \
            `message`"
)]
pub trait Publication: Send + Sync + 'static {
    /// The pinned name: its place in the store goes by it, and the source of its messages.
    const NAME: &'static str;

    /// The topic of all its messages; absent, each goes to the topic of its own name.
    const TOPIC: Option<&'static str> = None;

    /// The facts.
    type Event: EventSet;

    /// What is looked at besides the fact: a [`State`] of what the fact is about, as of this fact,
    /// or `()`. It is folded from the first event on for each message.
    type State: Beside;

    /// The integration events. No field of theirs is `#[personal]`: what has left cannot be erased.
    type Message: EventSet;

    /// What others are told of a fact, if anything. Pure: a fact that comes again becomes the same
    /// message.
    fn message(event: &Envelope<Self::Event>, state: &Self::State) -> Option<Self::Message>;
}

/// What a publication looks at besides the fact: a [`State`], or `()`.
pub trait Beside: Send + Sync + Sized + 'static {
    /// It as of a fact.
    #[doc(hidden)]
    fn beside<E: EventSet>(
        app: &App,
        event: &Envelope<E>,
    ) -> impl Future<Output = Result<Self, LoadError>> + Send;
}

impl Beside for () {
    async fn beside<E: EventSet>(_: &App, _: &Envelope<E>) -> Result<Self, LoadError> {
        Ok(())
    }
}

impl<S: State> Beside for S {
    async fn beside<E: EventSet>(app: &App, event: &Envelope<E>) -> Result<Self, LoadError> {
        let boundary = Boundary::tagged::<S::Event>(&event.event.tag_values());
        ReadState::<S>::within(app, boundary).as_of_position(event.position()).await
    }
}

impl App {
    /// What a publication says of a fact, ready for a broker; `None` where it says nothing.
    ///
    /// # Errors
    ///
    /// The state cannot be read, or the message cannot be made.
    pub async fn outgoing<P: Publication>(
        &self,
        event: &Envelope<P::Event>,
    ) -> Result<Option<Outgoing>, MessageError> {
        let state = P::State::beside(self, event).await?;
        let message = P::message(event, &state);
        message.map(|message| relay::outgoing::<P>(self, event, &message)).transpose()
    }
}
