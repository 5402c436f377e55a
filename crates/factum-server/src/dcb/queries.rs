//! Queries of the protocol, as the core has them. Pure.
//!
//! There an empty query, and an item that restricts nothing, match everything.

use super::errors;
use factum_core::{EventType, Item, Query, Tag};
use factum_proto::umadb::v1 as wire;
use tonic::Status;

/// Which events; everything where there is no query.
pub(super) fn query(query: Option<wire::Query>) -> Result<Query, Status> {
    let items = query.unwrap_or_default().items;
    let is_all = |item: &wire::QueryItem| item.types.is_empty() && item.tags.is_empty();
    if items.is_empty() || items.iter().any(is_all) {
        return Ok(Query::All);
    }
    Ok(Query::AnyOf(items.into_iter().map(item).collect::<Result<_, _>>()?))
}

fn item(item: wire::QueryItem) -> Result<Item, Status> {
    let types = item.types.iter().map(|name| EventType::new(name)).collect::<Result<_, _>>();
    let tags = item.tags.iter().map(|name| Tag::new(name)).collect::<Result<_, _>>();
    let invalid = |error: factum_core::InvalidName| errors::invalid(error.to_string());
    Ok(Item { types: types.map_err(invalid)?, tags: tags.map_err(invalid)?, ..Item::default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wire_item(types: &[&str], tags: &[&str]) -> wire::QueryItem {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        wire::QueryItem { types: owned(types), tags: owned(tags) }
    }

    #[test]
    fn what_restricts_nothing_is_everything() {
        assert_eq!(query(None).unwrap(), Query::All);
        assert_eq!(query(Some(wire::Query::default())).unwrap(), Query::All);
        let items = vec![wire_item(&["a"], &[]), wire_item(&[], &[])];
        assert_eq!(query(Some(wire::Query { items })).unwrap(), Query::All);
        let items = vec![wire_item(&["a", "b"], &["t"])];
        let Query::AnyOf(items) = query(Some(wire::Query { items })).unwrap() else { panic!() };
        assert_eq!((items[0].types.len(), items[0].tags.len()), (2, 1));
        let items = vec![wire_item(&[""], &[])];
        assert!(query(Some(wire::Query { items })).is_err());
    }
}
