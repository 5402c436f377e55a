//! Which ordinals a query selects, from sorted lists of ordinals.
//!
//! Leapfrog: each group of lists says the next ordinal it has from a point on; the farthest becomes
//! the point, until all agree. The answer may hold more than the query selects (prefixes are not
//! lists): whoever reads the events compares them in full.

use factum_core::{Item, Query};

/// What to look for, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The first ordinal looked at.
    pub(crate) from: u32,
    /// The last ordinal looked at: above `from` forwards, below it backwards.
    pub(crate) until: u32,
    pub(crate) backward: bool,
    /// How many at most.
    pub(crate) max: usize,
}

/// The lists of an item: an event is in one list of each group.
pub(crate) type Groups<L> = Vec<Vec<L>>;

/// What the items of a query ask a segment for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted<'a> {
    Type(&'a str),
    Tag(&'a str),
    Category(&'a str),
}

/// The groups of terms of an item; `None` if it can only be answered by looking at every event.
fn groups_of(item: &Item) -> Option<Groups<Wanted<'_>>> {
    let tags = item.tags.iter().map(|tag| vec![Wanted::Tag(tag.as_str())]);
    let mut groups: Groups<Wanted<'_>> = tags.collect();
    if !item.types.is_empty() {
        groups.push(item.types.iter().map(|name| Wanted::Type(name.as_str())).collect());
    }
    if !item.categories.is_empty() {
        groups.push(item.categories.iter().map(|name| Wanted::Category(name)).collect());
    }
    (!groups.is_empty()).then_some(groups)
}

/// A query with each item's lists, looked up in one segment. `None` for an item: every event.
#[derive(Clone, Debug)]
pub(crate) struct Lists<L>(pub(crate) Vec<Option<Groups<L>>>);

impl<L> Lists<L> {
    /// Looks up every term of a query. A term that the segment does not have makes no list, and
    /// a group without lists no match.
    pub(crate) fn look_up<E>(
        query: &Query,
        mut list: impl FnMut(Wanted<'_>) -> Result<Option<L>, E>,
    ) -> Result<Self, E> {
        let Query::AnyOf(items) = query else { return Ok(Self(vec![None])) };
        let mut of_group = |group: Vec<Wanted<'_>>| -> Result<Vec<L>, E> {
            group.into_iter().filter_map(|wanted| list(wanted).transpose()).collect()
        };
        let of_items = items.iter().map(|item| {
            let groups = groups_of(item);
            groups.map(|groups| groups.into_iter().map(&mut of_group).collect()).transpose()
        });
        Ok(Self(of_items.collect::<Result<_, E>>()?))
    }
}

impl<L: AsRef<[u32]>> Lists<L> {
    /// The ordinals in the window that may match, in the window's order.
    pub(crate) fn select(&self, window: Window) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = within(window.from, window);
        while let Some(from) = at.filter(|_| found.len() < window.max) {
            let Some(next) = self.next(from, window) else { break };
            found.push(next);
            at = step(next, window);
        }
        found
    }

    fn next(&self, at: u32, window: Window) -> Option<u32> {
        let of_items = self.0.iter().filter_map(|groups| match groups {
            None => Some(at),
            Some(groups) => leapfrog(groups, at, window),
        });
        if window.backward { of_items.max() } else { of_items.min() }
    }
}

fn leapfrog<L: AsRef<[u32]>>(groups: &Groups<L>, at: u32, window: Window) -> Option<u32> {
    let mut at = at;
    loop {
        let start = at;
        for group in groups {
            at = next_in(group, at, window)?;
        }
        if at == start {
            return Some(at);
        }
    }
}

fn next_in<L: AsRef<[u32]>>(group: &[L], at: u32, window: Window) -> Option<u32> {
    let of_lists = group.iter().filter_map(|list| seek(list.as_ref(), at, window.backward));
    let next = if window.backward { of_lists.max() } else { of_lists.min() };
    within(next?, window)
}

/// The first ordinal of a list from a point on.
fn seek(list: &[u32], at: u32, backward: bool) -> Option<u32> {
    if backward {
        let upto = list.partition_point(|ordinal| *ordinal <= at);
        list.get(upto.checked_sub(1)?).copied()
    } else {
        list.get(list.partition_point(|ordinal| *ordinal < at)).copied()
    }
}

fn within(at: u32, window: Window) -> Option<u32> {
    let inside = if window.backward { at >= window.until } else { at <= window.until };
    inside.then_some(at)
}

fn step(at: u32, window: Window) -> Option<u32> {
    let next = if window.backward { at.checked_sub(1) } else { at.checked_add(1) };
    next.and_then(|next| within(next, window))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn check(lists: &Lists<Vec<u32>>, from: u32, until: u32, expected: &[u32]) {
        let window = Window { from, until, backward: from > until, max: usize::MAX };
        assert_eq!(lists.select(window), expected);
        let few = lists.select(Window { max: 2, ..window });
        assert_eq!(few, expected[..expected.len().min(2)]);
    }

    #[test]
    fn groups_are_and_lists_are_or_items_are_or() {
        let (a, b, c) = (vec![1, 3, 5, 7, 9], vec![2, 3, 9], vec![7]);
        let lists = Lists(vec![Some(vec![vec![a], vec![b, c]]), Some(vec![vec![vec![4, 9]]])]);
        check(&lists, 0, 100, &[3, 4, 7, 9]);
        check(&lists, 4, 8, &[4, 7]);
        check(&lists, 100, 0, &[9, 7, 4, 3]);
        check(&lists, 8, 4, &[7, 4]);
        check(&Lists(vec![Some(vec![vec![], vec![vec![1]]])]), 0, 9, &[]);
        check(&Lists(vec![None]), 3, 6, &[3, 4, 5, 6]);
        check(&Lists(vec![None]), 2, 0, &[2, 1, 0]);
    }

    #[test]
    fn it_agrees_with_sets_on_random_lists() {
        use proptest::{collection::vec, prelude::*};
        let sorted = |list: Vec<u32>| list.into_iter().collect::<BTreeSet<_>>();
        let list = vec(0u32..40, 0..30).prop_map(move |list| Vec::from_iter(sorted(list)));
        let items = vec(vec(vec(list, 1..3), 1..4), 1..4);
        proptest!(|(items in items, from in 0u32..45, until in 0u32..45)| {
            let backward = from > until;
            let has = |ordinal: &u32| items.iter().any(|groups| {
                groups.iter().all(|lists| lists.iter().any(|list| list.contains(ordinal)))
            });
            let mut expected: Vec<u32> =
                (from.min(until)..=from.max(until)).filter(has).collect();
            if backward {
                expected.reverse();
            }
            let lists = Lists(items.iter().cloned().map(Some).collect());
            let window = Window { from, until, backward, max: usize::MAX };
            prop_assert_eq!(lists.select(window), expected);
        });
    }
}
