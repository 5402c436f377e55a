//! What happened to one order, across the services: by its correlation, from all stores.

use factum::{
    AnyStore, EventStore, Read, RecordedEvent,
    app::{Metadata, prelude::*},
};

/// The facts of one order in the order in which they were recorded, a line each.
pub(crate) async fn of(order: &str, names: &[&str], stores: &[AnyStore]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let mut first: Option<Uuid> = None;
    for (name, store) in names.iter().zip(stores) {
        let events = store.read(Read::query(factum::Query::All)).await?.events().await?;
        for event in events {
            let own = !event.stream().as_str().starts_with("inbox.");
            let known = Metadata::of(&event).correlation;
            if own && event.stream().as_str() == format!("order-{order}") && first.is_none() {
                first = known;
            }
            if own && !event.stream().as_str().starts_with('$') {
                all.push((event.recorded_at(), *name, event, known));
            }
        }
    }
    all.retain(|(.., known)| known.is_some() && *known == first);
    all.sort_by_key(|(at, ..)| *at);
    let begun = all.first().map(|(at, ..)| at.0).unwrap_or_default();
    let line = |(at, name, event, _): (Timestamp, &str, RecordedEvent, _)| {
        let millis = (at.0 - begun) / 1_000_000;
        format!("  {millis:>6} ms  {name:<10} {}", event.event_type())
    };
    Ok(all.into_iter().map(line).collect())
}
