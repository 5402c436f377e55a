//! Queries as types: what is asked, of which view, and what the answer is.

use super::{View, ViewError, see::Parts};
use crate::{App, projection::Projection, world::BoxFuture};
use factum_core::Position;
use std::time::Duration;

/// A query over a view.
///
/// ```
/// # use factum_app::{App, Envelope, MemoryStore, OnError, Projection, Row, event};
/// # use factum_app::view::{View, ViewError, ViewQuery};
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
/// struct HowManyAreOn;
/// impl ViewQuery for HowManyAreOn {
///     type View = LampNow;
///     type Answer = usize;
///     async fn answer(&self, view: View<'_, LampNow>) -> Result<usize, ViewError> {
///         Ok(view.list().with("on", true).await?.rows.len())
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = App::builder(MemoryStore::new());
/// # let app = builder.projection::<LampNow>(OnError::Park).start().await?;
/// assert_eq!(app.ask(HowManyAreOn).await?, 0);
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query over a view",
    label = "no `ViewQuery`",
    note = "write `impl ViewQuery for {Self}`: the view it asks, its answer, and `answer`"
)]
pub trait ViewQuery: Send + Sync {
    /// The view that it asks.
    type View: Projection;
    /// What it comes to.
    type Answer: Send;

    /// Answers it.
    ///
    /// # Errors
    ///
    /// As the view.
    fn answer(
        &self,
        view: View<'_, Self::View>,
    ) -> impl Future<Output = Result<Self::Answer, ViewError>> + Send;
}

/// A query on its way: `.await` answers it.
#[must_use = "a query is answered when it is awaited"]
pub struct Ask<'a, Q: ViewQuery> {
    query: Q,
    view: View<'a, Q::View>,
}

impl App {
    /// Answers a query when it is awaited: `app.ask(query).at_least(&receipt).await?`
    pub fn ask<Q: ViewQuery>(&self, query: Q) -> Ask<'_, Q> {
        Ask { query, view: self.view() }
    }
}

impl<'a, Q: ViewQuery> Ask<'a, Q> {
    /// As [`View::at_least`].
    pub fn at_least(mut self, seen: impl Into<Position>) -> Self {
        self.view = self.view.at_least(seen);
        self
    }

    /// As [`View::within`].
    pub fn within(mut self, within: Duration) -> Self {
        self.view = self.view.within(within);
        self
    }

    /// Its answer, and then each time that it is another.
    #[must_use]
    pub fn follow(self) -> Follow<'a, Q>
    where
        Q::Answer: Clone + PartialEq,
    {
        Follow { query: self.query, view: self.view, shown: None, parts: None }
    }
}

impl<'a, Q: ViewQuery + 'a> IntoFuture for Ask<'a, Q> {
    type Output = Result<Q::Answer, ViewError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.query.answer(self.view).await })
    }
}

/// The changes of an answer. Who is slow misses answers in between, and never the last one.
pub struct Follow<'a, Q: ViewQuery> {
    query: Q,
    view: View<'a, Q::View>,
    shown: Option<Q::Answer>,
    parts: Option<Parts<'a>>,
}

impl<Q: ViewQuery> Follow<'_, Q>
where
    Q::Answer: Clone + PartialEq,
{
    /// The answer as it is, at first; later waits, without a limit, until it is another.
    ///
    /// # Errors
    ///
    /// As the query.
    pub async fn next(&mut self) -> Result<Q::Answer, ViewError> {
        loop {
            let parts = match &mut self.parts {
                Some(parts) => parts,
                None => self.parts.insert(Parts::of(&self.view, None)?),
            };
            // Before it is asked: what changes from here on is looked at again.
            parts.look();
            let answer = self.query.answer(self.view).await?;
            if self.shown.as_ref() != Some(&answer) {
                self.shown = Some(answer.clone());
                return Ok(answer);
            }
            parts.changed().await;
        }
    }
}
