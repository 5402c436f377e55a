//! Reading a state: now, or as of a moment in the past.

use super::{Boundary, LoadError, State, load::Loader};
use crate::{App, Receipt, event::EventSet, world::BoxFuture};
use factum_core::{AsOf, InvalidName, Position, Timestamp};
use std::{fmt::Display, future::IntoFuture, marker::PhantomData};

/// A state on its way: `.await` reads it.
///
/// ```
/// # use factum_app::{App, Ctx, Decision, MemoryStore, Outcome, State, Timestamp};
/// # use factum_app::{command, emit, event};
/// # #[event("account.credited")]
/// # struct Credited { #[tag] account: u32, cents: i64, #[occurred_at] at: Timestamp }
/// # #[derive(Clone, Default)] struct Account { cents: i64 }
/// # impl State for Account {
/// #     type Event = Credited;
/// #     fn evolve(self, event: &Credited) -> Self { Self { cents: self.cents + event.cents } }
/// # }
/// # #[command("account.credit")]
/// # struct Credit { #[tag] account: u32, cents: i64, at: Timestamp }
/// # impl Decision for Credit {
/// #     type State = Account;
/// #     type Refusal = std::convert::Infallible;
/// #     fn decide(&self, _: &Account, _: &Ctx) -> Outcome<Self> {
/// #         emit(Credited { account: self.account, cents: self.cents, at: self.at })
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = App::new(MemoryStore::new());
/// # let (march, april) = ("2026-03-01T00:00:00Z".parse()?, "2026-04-01T00:00:00Z".parse()?);
/// # app.execute(Credit { account: 7, cents: 500, at: march }).await?;
/// # let receipt = app.execute(Credit { account: 7, cents: 70, at: april }).await?;
/// let now = app.state::<Account>(7).at_least(&receipt).await?;
/// let then = app.state::<Account>(7).as_of("2026-03-15T12:00:00+01:00".parse()?).await?;
/// assert_eq!((now.cents, then.cents), (570, 500));
/// # Ok(()) }
/// ```
#[must_use = "a state is read when it is awaited"]
#[derive(Debug)]
pub struct ReadState<'a, S> {
    app: &'a App,
    boundary: Result<Boundary, InvalidName>,
    as_of: AsOf,
    at_least: Option<Position>,
    state: PhantomData<fn() -> S>,
}

impl<'a, S: State> ReadState<'a, S> {
    pub(crate) fn new(app: &'a App, id: &dyn Display) -> Self {
        Self::within(app, Boundary::one::<S::Event>(&id.to_string()))
    }

    pub(crate) fn within(app: &'a App, boundary: Result<Boundary, InvalidName>) -> Self {
        Self { app, boundary, as_of: AsOf::Now, at_least: None, state: PhantomData }
    }

    /// By what had happened at this moment: events count from when they occurred.
    pub fn as_of(self, at: Timestamp) -> Self {
        Self { as_of: AsOf::Occurred(at), ..self }
    }

    /// By what the store knew at this moment.
    pub fn as_recorded(self, at: Timestamp) -> Self {
        Self { as_of: AsOf::Recorded(at), ..self }
    }

    /// By what the store knew at this position, inclusive.
    pub fn as_of_position(self, position: Position) -> Self {
        Self { as_of: AsOf::Position(position), ..self }
    }

    /// With at least what a command wrote: waits until the store has it.
    pub fn at_least(self, receipt: &Receipt) -> Self {
        Self { at_least: Some(receipt.position), ..self }
    }
}

impl<'a, S: State> IntoFuture for ReadState<'a, S> {
    type Output = Result<S, LoadError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { app, boundary, as_of, at_least, .. } = self;
            let boundary = boundary?;
            let mut loader = Loader::new(app).at_least(at_least);
            let loaded = match as_of {
                AsOf::Now => loader.load::<S>(&boundary).await?,
                moment => loader.load_as_of::<S>(&boundary, moment).await?,
            };
            app.take(loader.due());
            Ok(loaded.state().clone())
        })
    }
}

impl Boundary {
    /// The facts about one thing: where every event of the set goes to the stream of one tag, that
    /// stream; otherwise all events with the first tag of the set's first event.
    ///
    /// # Errors
    ///
    /// The value makes no name, or is none, where no event of the set has a tag.
    pub fn one<E: EventSet>(id: &str) -> Result<Self, InvalidName> {
        let key = E::MEMBERS.list().iter().find_map(|info| info.tags.first().copied());
        let tags: Vec<(&'static str, String)> =
            key.map(|key| (key, id.to_owned())).into_iter().collect();
        Self::tagged::<E>(&tags)
    }
}
