//! Which events: what `read`, `tail` and `export` have in common.

use crate::failure::{Failure, Outcome};
use clap::Args;
use factum::{EventType, Item, Query, Select, StreamName, Tag};

/// A stream, or everything, and what of it.
#[derive(Args, Debug, Default)]
pub(crate) struct Selection {
    /// The stream
    pub(crate) stream: Option<StreamName>,
    /// Every event of the store
    #[arg(long, conflicts_with = "stream")]
    pub(crate) all: bool,
    /// Only events of this type; may be given again: one of them
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<EventType>,
    /// Only events with this tag; may be given again: all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<Tag>,
    /// Only streams of this category (the part before the first `-`); may be given again
    #[arg(long = "category", value_name = "CATEGORY", conflicts_with = "stream")]
    pub(crate) categories: Vec<String>,
}

/// What is asked of the store, and what is left to look at here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Selected {
    pub(crate) select: Select,
    /// A store selects a stream or by a query; of a stream's events the rest is left out here.
    pub(crate) filter: Option<Query>,
}

impl Selection {
    /// What is selected; nothing at all is a usage error.
    pub(crate) fn selected(&self) -> Outcome<Selected> {
        let item = Item {
            types: self.types.clone(),
            tags: self.tags.clone(),
            categories: self.categories.iter().map(|name| name.as_str().into()).collect(),
            ..Item::default()
        };
        let query = item.restricts().then(|| Query::from(item));
        match (&self.stream, query) {
            (Some(stream), filter) => {
                Ok(Selected { select: Select::Stream(stream.clone()), filter })
            }
            (None, Some(query)) => Ok(Selected { select: Select::Query(query), filter: None }),
            (None, None) if self.all => {
                Ok(Selected { select: Select::Query(Query::All), filter: None })
            }
            (None, None) => Err(Failure::usage("it is not said which events")
                .help("name a stream, or --all, or a --type, --tag or --category")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_filtered_here_and_everything_else_by_the_store() {
        let types = vec![EventType::new("t").unwrap()];
        let stream = StreamName::new("a-1").unwrap();
        let both = Selection {
            stream: Some(stream.clone()),
            types: types.clone(),
            ..Selection::default()
        };
        let selected = both.selected().unwrap();
        assert_eq!(selected.select, Select::Stream(stream));
        assert_eq!(selected.filter, Some(Query::types(types.clone())));
        let query = Selection { types: types.clone(), all: true, ..Selection::default() };
        assert_eq!(query.selected().unwrap().select, Select::Query(Query::types(types)));
        let all = Selection { all: true, ..Selection::default() };
        assert_eq!(all.selected().unwrap().select, Select::Query(Query::All));
        assert!(Selection::default().selected().is_err());
    }
}
