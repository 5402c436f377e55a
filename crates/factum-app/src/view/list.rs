//! Rows by key, a page at a time.

use super::{
    Stamped, View, ViewError,
    see::{Parts, of_older, older, stamped},
};
use crate::{
    projection::{
        Projection, TargetError,
        target::{List, Seen, Table},
    },
    world::BoxFuture,
};
use factum_core::Position;

/// How many rows a page has, unless it is said otherwise.
const LIMIT: u32 = 100;
/// How many rows a page has at most.
const LIMIT_MAX: u32 = 10_000;

/// Which rows of a view: `.await` reads a page.
#[must_use = "a list is read when it is awaited"]
pub struct Listing<'a, P> {
    view: View<'a, P>,
    list: List,
}

/// Some rows of a view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<P> {
    /// The rows, in the order of their keys.
    pub rows: Vec<Stamped<P>>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
    /// Everything up to here is in it.
    pub through: Position,
}

impl<P> Page<P> {
    /// The rows, without their stamps.
    pub fn values(self) -> impl Iterator<Item = P> {
        self.rows.into_iter().map(|row| row.value)
    }
}

impl<'a, P: Projection> Listing<'a, P> {
    pub(super) fn new(view: View<'a, P>) -> Self {
        Self { view, list: List { limit: LIMIT, ..List::default() } }
    }

    /// Those behind this key: [`Page::next`] of the page before.
    pub fn after(mut self, key: impl ToString) -> Self {
        self.list.after = Some(key.to_string());
        self
    }

    /// At most so many, up to 10,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.list.limit = limit.clamp(1, LIMIT_MAX);
        self
    }

    /// Only those whose keys begin so.
    pub fn prefix(mut self, prefix: impl ToString) -> Self {
        self.list.prefix = Some(prefix.to_string());
        self
    }

    /// Only those where this field of the row is this, as JSON has both.
    pub fn with(mut self, field: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.list.fields.push((field.into(), value.into()));
        self
    }

    async fn page(self) -> Result<Page<P>, ViewError> {
        let Self { view, list } = self;
        let table = &view.registered()?.table;
        // One more, to know whether there is a next page.
        let limit = list.limit as usize;
        let more = List { limit: list.limit + 1, ..list };
        let mut parts = Parts::of(&view, None)?;
        let Seen { value: mut rows, through, .. } = loop {
            parts.ready().await?;
            if let Some(seen) = parts.judge(read(&view, table, &more).await).await? {
                break seen;
            }
        };
        let is_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| is_more).map(|row: &Stamped<P>| row.key.clone());
        Ok(Page { rows, next, through })
    }
}

async fn read<P: Projection>(
    view: &View<'_, P>,
    table: &Table,
    list: &List,
) -> Result<Seen<Vec<Stamped<P>>>, TargetError> {
    let target = view.app.views().target();
    let (Seen { value, through, generation }, version) = match target.list(table, list).await {
        Err(TargetError::NotReady) => {
            let older = older(view, table).await?;
            (of_older(target.list(&older, list).await?), older.version)
        }
        seen => (seen?, table.version),
    };
    let value = value.into_iter().map(|row| stamped(row, through, version));
    Ok(Seen { value: value.collect::<Result<_, _>>()?, through, generation })
}

impl<'a, P: Projection> IntoFuture for Listing<'a, P> {
    type Output = Result<Page<P>, ViewError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.page())
    }
}
