//! Views that nobody keeps: a whole one as it was, and one row on demand.

use crate::{
    App,
    consumer::query_of,
    event::{DecodePolicy, EventSet, Unknown, tag},
    projection::{Fold, FoldError, Key, Projection},
};
use factum_core::{AsOf, EventType, Freshness, Item, Position, Query, Read, ReadError};
use std::collections::HashMap;

/// A whole view as it was.
#[derive(Debug)]
pub struct Past<P> {
    rows: HashMap<String, Option<P>>,
    /// Of the store as it was read.
    pub head: Position,
}

impl<P> Past<P> {
    /// The row with a key.
    pub fn get(&self, key: impl ToString) -> Option<&P> {
        self.rows.get(&key.to_string())?.as_ref()
    }

    /// All rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &P)> {
        self.rows.iter().filter_map(|(key, row)| Some((key.as_str(), row.as_ref()?)))
    }
}

impl App {
    /// A whole view as it was at a position, by what was recorded, or by what had occurred: "the
    /// dashboard as of March 15". Made in memory, from the first event on.
    ///
    /// # Errors
    ///
    /// The store does not answer, or a fact cannot be read or applied.
    pub async fn view_as_of<P: Projection>(&self, as_of: AsOf) -> Result<Past<P>, FoldError> {
        let read = Read { as_of, ..Read::query(self.query_of::<P>()?) };
        let mut fold = Fold::<P>::new(None, self.decode_policy::<P>());
        let head = fold.read(self, read).await?;
        Ok(Past { rows: fold.rows, head })
    }

    /// A row as it is now, made on demand of all its facts: nobody needs to keep the view, and it
    /// is never behind. Where its key is computed, all events of the set are read.
    ///
    /// # Errors
    ///
    /// As [`App::view_as_of`].
    pub async fn live<P: Projection>(&self, key: impl ToString) -> Result<Option<P>, FoldError> {
        let key = key.to_string();
        let query = self.query_of_key::<P>(&key)?;
        let read = Read { freshness: Freshness::Current, ..Read::query(query) };
        let mut fold = Fold::<P>::new(Some(key.clone()), self.decode_policy::<P>());
        fold.read(self, read).await?;
        Ok(fold.rows.remove(&key).flatten())
    }

    fn decode_policy<P: Projection>(&self) -> DecodePolicy {
        self.views().get::<P>().map(|of| of.decode).unwrap_or_default()
    }

    /// What a projection sees.
    fn query_of<P: Projection>(&self) -> Result<Query, ReadError> {
        let of = self.views().get::<P>();
        let narrow = of.map(|of| of.narrow.clone()).unwrap_or_default();
        let unknown = self.decode_policy::<P>().unknown;
        query_of::<P::Event>(&narrow, unknown).map_err(|name| ReadError::Invalid(name.into()))
    }

    /// Of that, what can be about a key. An event's stream is that of its rule, so its id is the
    /// value of the tag that the rule names; without a tag the stream is one for all.
    fn query_of_key<P: Projection>(&self, key: &str) -> Result<Query, ReadError> {
        let all = self.query_of::<P>()?;
        let refuses = self.decode_policy::<P>().unknown == Unknown::Refuse;
        let Query::AnyOf(items) = &all else { return Ok(all) };
        let [narrow] = items.as_slice() else { return Ok(all) };
        if P::KEY == Key::Computed || refuses {
            return Ok(all);
        }
        let invalid = |name: factum_core::InvalidName| ReadError::Invalid(name.into());
        let mut of_key = Vec::new();
        for info in P::Event::MEMBERS.list() {
            let name = match P::KEY {
                Key::Tag(name) => Some(name),
                _ => info.stream.tag,
            };
            let versions = (1..=info.version).map(|n| format!("{}.v{n}", info.event_type));
            let mut types = vec![EventType::new(info.event_type).map_err(invalid)?];
            for version in versions {
                types.push(EventType::new(&version).map_err(invalid)?);
            }
            let mut item = Item { types, ..narrow.clone() };
            if let Some(name) = name {
                item.tags.push(tag(name, key).map_err(invalid)?);
            }
            of_key.push(item);
        }
        Ok(Query::AnyOf(of_key))
    }
}
