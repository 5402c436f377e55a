//! The query side: rows of projections as they are, as they were, and as they change.
//!
//! Whoever waits here waits for a notification, with a limit. What must hold: an answer that was
//! asked `at_least` a position has everything up to there in it, also while a projection is made
//! anew or handed over.

mod error;
mod history;
mod list;
mod query;
mod see;
mod stamp;
mod token;
mod watch;

pub use error::ViewError;
pub use history::Past;
pub use list::{Listing, Page};
pub use query::{Ask, Follow, ViewQuery};
pub use stamp::Stamped;
pub use token::{InvalidToken, Token};
pub use watch::Watch;

use crate::{
    App, Receipt,
    projection::{Projection, Registered},
};
use factum_core::Position;
use std::{marker::PhantomData, time::Duration};

/// How long an answer waits to be new enough, unless it is said otherwise.
pub const WITHIN: Duration = Duration::from_secs(5);

/// The rows of a projection: `app.view::<Summary>()`.
#[derive(Debug)]
#[must_use = "a view is asked: `get`, `list`, `watch`"]
pub struct View<'a, P> {
    app: &'a App,
    need: Need,
    rows: PhantomData<fn() -> P>,
}

/// How new an answer must be, and how long it may take to be so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    at_least: Position,
    within: Duration,
}

impl<P> Clone for View<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for View<'_, P> {}

/// A receipt stands for the position that it reached.
impl From<&Receipt> for Position {
    fn from(receipt: &Receipt) -> Self {
        receipt.position
    }
}

impl App {
    /// The rows of a projection.
    pub fn view<P: Projection>(&self) -> View<'_, P> {
        let need = Need { at_least: Position::START, within: WITHIN };
        View { app: self, need, rows: PhantomData }
    }
}

impl<'a, P: Projection> View<'a, P> {
    /// With everything in it up to a receipt, or a position: who has written something sees it.
    pub fn at_least(mut self, seen: impl Into<Position>) -> Self {
        self.need.at_least = self.need.at_least.max(seen.into());
        self
    }

    /// With everything in it that a token says of this service, see [`Token`].
    pub fn after(self, token: &Token) -> Self {
        let own = self.app.service_name().and_then(|name| token.get(name));
        self.at_least(own.unwrap_or(Position::START))
    }

    /// Another limit than [`WITHIN`] for waiting.
    pub fn within(mut self, within: Duration) -> Self {
        self.need.within = within;
        self
    }

    /// The row with a key.
    ///
    /// # Errors
    ///
    /// [`ViewError::Behind`] where it is not new enough within the limit; [`ViewError`] has all.
    pub async fn get(&self, key: impl ToString) -> Result<Option<P>, ViewError> {
        Ok(self.row(key).await?.map(|row| row.value))
    }

    /// The row with a key, and its version stamp.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn row(&self, key: impl ToString) -> Result<Option<Stamped<P>>, ViewError> {
        see::row(self, &key.to_string()).await
    }

    /// Rows by key: `view.list().with("status", "open").limit(20).await?`.
    pub fn list(&self) -> Listing<'a, P> {
        Listing::new(*self)
    }

    /// The row with a key, and then each time that it is another.
    #[must_use]
    pub fn watch(&self, key: impl ToString) -> Watch<'a, P> {
        Watch::new(*self, key.to_string())
    }

    fn registered(&self) -> Result<&'a Registered, ViewError> {
        self.app.views().get::<P>().ok_or(ViewError::NotRegistered { name: P::NAME })
    }
}
