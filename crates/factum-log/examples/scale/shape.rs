//! Which events a store is filled with: every one follows from its number and the settings.

use factum_core::{Append, EventData, EventType, StreamName, Tag, Uuid};

/// How the store is filled.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How many events.
    pub(crate) events: u64,
    /// Over how many streams.
    pub(crate) streams: u64,
    /// Events an append.
    pub(crate) batch: u64,
    /// Each event is in another stream than the one before.
    pub(crate) spread: bool,
    /// So many different tags, one an event; 0 for none.
    pub(crate) tags: u64,
    /// The size of a segment, if not the default.
    pub(crate) segment_mib: Option<u64>,
    /// How many runs of the directory are merged into one, if not the default.
    pub(crate) fan_out: Option<u64>,
}

/// Events of the stream that is spread over the whole log.
pub(crate) const SPREAD_EVENTS: u64 = 20;
/// The bytes of an event's data.
pub(crate) const PAYLOAD: usize = 256;

impl Settings {
    /// Reads `NAME=VALUE`.
    pub(crate) fn of(arguments: &[String]) -> Self {
        let value = |name: &str| {
            let found = arguments.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned)
        };
        let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect("a number"));
        Self {
            events: number("events").unwrap_or(1_000_000),
            streams: number("streams").unwrap_or(100_000),
            batch: number("batch").unwrap_or(100),
            spread: value("shape").is_some_and(|shape| shape == "spread"),
            tags: number("tags").unwrap_or(0),
            segment_mib: number("segment"),
            fan_out: number("fan_out"),
        }
    }

    /// The stream of the nth event.
    pub(crate) fn stream(&self, nth: u64) -> StreamName {
        let which = if self.spread {
            // Odd and not a divisor of any round number: each stream once, then again.
            nth.wrapping_mul(982_451_653) % self.streams
        } else {
            nth / (self.events / self.streams).max(1)
        };
        StreamName::new(&format!("order-{which:08}")).unwrap()
    }

    /// The appends of the whole store, in order.
    pub(crate) fn appends(&self) -> impl Iterator<Item = Append> + '_ {
        let count = self.events.div_ceil(self.batch);
        let marks = count.div_ceil(SPREAD_EVENTS).max(1);
        (0..count).flat_map(move |nth| {
            let from = nth * self.batch;
            let upto = (from + self.batch).min(self.events);
            let events = (from..upto).map(|n| (self.stream(n), self.event(n))).collect();
            let append = Append { events, ..Append::default() };
            let mark = (nth % marks == 0).then(|| {
                Append::to(spread_stream(), [event(u64::MAX - nth, Some("mark:1".to_owned()))])
            });
            [Some(append), mark].into_iter().flatten()
        })
    }

    fn event(&self, nth: u64) -> EventData {
        let tag = (self.tags > 0).then(|| format!("item:{}", nth.wrapping_mul(7919) % self.tags));
        event(nth, tag)
    }
}

/// The stream that is spread over the whole log.
pub(crate) fn spread_stream() -> StreamName {
    StreamName::new("spread-1").unwrap()
}

/// An event whose id, type and data follow from a number.
pub(crate) fn event(nth: u64, tag: Option<String>) -> EventData {
    let event_type = EventType::new(&format!("order.{}", nth % 10)).unwrap();
    let half = |of: u64| {
        let mixed = (of ^ of >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let id = Uuid::from_u64_pair(half(nth), half(nth ^ 0x5555_5555));
    let data = format!("{{\"pad\":\"{:width$}\"}}", nth, width = PAYLOAD - 10);
    let event = EventData::new(id, event_type, data);
    match tag {
        Some(tag) => event.with_tags([Tag::new(&tag).unwrap()]),
        None => event,
    }
}
