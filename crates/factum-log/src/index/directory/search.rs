//! A search through segments in any order, which passes over those that cannot have what it is for.

use super::{Cover, Key, run::Run};
use crate::{
    error::Fault,
    index::{
        Index, TermKind,
        select::{Groups, Lists},
    },
};
use factum_core::{Query, StreamName, Uuid};
use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

/// A search. It remembers what the run that it asked last has said.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// As in a query: one of the items, all of its groups, one key of each. An item without groups
    /// can be anywhere.
    items: Vec<Option<Groups<Key>>>,
    /// The run, and the segments that it names; `None` for all.
    asked: Option<(Arc<Run>, Option<BTreeSet<u32>>)>,
}

impl Search {
    fn of(items: Vec<Option<Groups<Key>>>) -> Self {
        Self { items, asked: None }
    }

    pub(crate) fn stream(stream: &StreamName) -> Self {
        Self::of(vec![Some(of_stream(stream))])
    }

    pub(crate) fn type_of_events(name: &str) -> Self {
        Self::of(vec![Some(vec![vec![Key::term(TermKind::Type, name)]])])
    }

    /// The stream comes first: what is said of it was looked up a moment ago, and an id can only be
    /// where the stream is.
    pub(crate) fn id(stream: &StreamName, id: Uuid) -> Self {
        let mut groups = of_stream(stream);
        groups.push(vec![Key::id(stream, id)]);
        Self::of(vec![Some(groups)])
    }

    pub(crate) fn query(query: &Query) -> Self {
        let keys = Lists::look_up(query, |wanted| Ok::<_, Infallible>(Some(Key::wanted(wanted))));
        let Ok(Lists(items)) = keys;
        Self::of(items)
    }

    /// Whether the segment with this index may have what is searched for. Asks its run, unless that
    /// was the last one asked.
    pub(crate) fn may_be_in(&mut self, index: &Index) -> bool {
        index.with_cover(|cover| {
            let Some(Cover { run, nth }) = cover else { return true };
            if self.asked.as_ref().is_none_or(|(asked, _)| !Arc::ptr_eq(asked, run)) {
                // A run that is damaged says nothing: it can be made anew.
                let named = self.named_by(run).unwrap_or(None);
                self.asked = Some((run.clone(), named));
            }
            let named = self.asked.as_ref().and_then(|(_, named)| named.as_ref());
            named.is_none_or(|named| named.contains(nth))
        })
    }

    /// The segments that a run names; `None` for all.
    fn named_by(&self, run: &Run) -> Result<Option<BTreeSet<u32>>, Fault> {
        let mut named = BTreeSet::new();
        for item in &self.items {
            let Some(groups) = item else { return Ok(None) };
            named.extend(all_of(run, groups)?);
        }
        Ok(Some(named))
    }
}

/// A stream's key; of metadata the category's before it: few streams have any, so that this is
/// mostly the end, and always the same page.
fn of_stream(stream: &StreamName) -> Groups<Key> {
    let category = stream.is_metadata().then(|| vec![Key::category_of(stream)]);
    category.into_iter().chain([vec![Key::stream(stream)]]).collect()
}

/// The segments that have a key of each group. Nothing more is looked up once there are none.
fn all_of(run: &Run, groups: &Groups<Key>) -> Result<BTreeSet<u32>, Fault> {
    let mut common: Option<BTreeSet<u32>> = None;
    for group in groups {
        let mut of_group = BTreeSet::new();
        for key in group {
            of_group.extend(run.with(*key)?);
        }
        common = Some(match common {
            None => of_group,
            Some(common) => common.intersection(&of_group).copied().collect(),
        });
        if common.as_ref().is_some_and(BTreeSet::is_empty) {
            break;
        }
    }
    Ok(common.unwrap_or_default())
}
