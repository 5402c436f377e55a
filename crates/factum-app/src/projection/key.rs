//! The keys of rows, and which part of a projection has which.

use crate::{Envelope, context::mix, event::EventSet};
use factum_core::StreamName;

/// What the key of a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Key {
    /// The id of the event's stream: `7` of `order-7`.
    #[default]
    Stream,
    /// The values of a tag of the event: `Key::Tag("customer")`.
    Tag(&'static str),
    /// Whatever [`super::Projection::keys`] says.
    Computed,
}

/// The keys of an event; none where they are computed.
#[must_use]
pub fn keys_of<E: EventSet>(key: Key, event: &Envelope<E>) -> Vec<String> {
    match key {
        Key::Stream => vec![id_of(event.stream()).to_owned()],
        Key::Tag(name) => {
            let tags = event.event.tag_values().into_iter();
            tags.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
        }
        Key::Computed => Vec::new(),
    }
}

/// What comes after the category: `7` of `order-7`, everything where there is no `-`.
fn id_of(stream: &StreamName) -> &str {
    stream.as_str().split_once('-').map_or(stream.as_str(), |(_, id)| id)
}

/// Which of so many parts has a key. Part of what is stored: it must never change.
pub(crate) fn part_of(key: &str, parts: u32) -> u32 {
    if parts <= 1 {
        return 0;
    }
    // FNV-1a (Fowler, Noll, Vo), 64 bits, and a finaliser for its weak low bits.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = mix(key.bytes().fold(0xcbf2_9ce4_8422_2325, fold));
    u32::try_from(hash % u64::from(parts)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_to_the_same_parts_for_ever() {
        let parts = ["", "7", "ann", "order-7"].map(|key| part_of(key, 16));
        assert_eq!(parts, [0, 0, 12, 3]);
        let mut counts = [0; 4];
        for key in 0..4_000 {
            counts[part_of(&key.to_string(), 4) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
