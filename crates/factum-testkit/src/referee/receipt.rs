//! What every receipt must be like.

use factum_core::{Append, Position, Receipt, StreamName};

/// Panics if a receipt cannot be that of the append.
pub(super) fn check(append: &Append, receipt: &Receipt) {
    let mut mentioned: Vec<(&StreamName, u64)> = Vec::new();
    for (stream, _) in &append.events {
        match mentioned.iter_mut().find(|(known, _)| *known == stream) {
            Some((_, count)) => *count += 1,
            None => mentioned.push((stream, 1)),
        }
        // The square of many streams is too much; the first ones tell.
        if mentioned.len() > 100 {
            return;
        }
    }
    let told = receipt.streams.iter().map(|written| {
        let count = written.last.0.checked_sub(written.first.0).map(|more| more + 1);
        (&written.stream, count.expect("a receipt's last revision is not before its first"))
    });
    crate::same("the receipt's streams, with their counts of events", told.collect(), mentioned);
    assert!(
        append.events.is_empty() || receipt.position > Position::START,
        "the receipt of an event has its position, not {}",
        receipt.position
    );
}
