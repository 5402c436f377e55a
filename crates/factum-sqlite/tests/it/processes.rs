//! Several processes over one file: conditions hold between them, and each sees what others write.

use crate::support::{all, as_child, child, event, open, stream};
use factum_core::{
    Append, AppendError, Check, EventStore, Expected, Item, Query, Read, Revision, Tag,
};
use factum_testkit::block_on;
use std::collections::HashSet;

const PROCESSES: u64 = 3;
/// What each of them wants to add.
const TURNS: u64 = 40;

#[test]
#[ignore = "the work of a child: started by the test beside it"]
fn the_child_takes_its_turns() {
    let Some((store, seed)) = as_child() else { return };
    let counter = stream("counter");
    for turn in 0..TURNS {
        let id = u128::from(seed * TURNS + turn + 1);
        loop {
            let reading = Read { limit: Some(0), ..Read::stream(counter.clone()) };
            let state = block_on(store.read(reading)).unwrap().state.unwrap();
            let expected = match state {
                factum_core::StreamState::Live { last } => Expected::At(last),
                _ => Expected::NoStream,
            };
            let append = Append::to(counter.clone(), [event(id)]);
            match block_on(store.append(append.expecting(counter.clone(), expected))) {
                Ok(_) => break,
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        take_seat(&store, seed, turn);
    }
}

/// Every process wants every seat: whoever finds it free takes it, by a condition on a tag.
fn take_seat(store: &factum_sqlite::SqliteStore, seed: u64, seat: u64) {
    let tag = Tag::new(&format!("seat:{seat}")).unwrap();
    let item =
        Item { tags: vec![tag.clone()], types: vec![event(1).event_type], ..Item::default() };
    let free = Check::NoMatch { query: Query::from(item), after: factum_core::Position::START };
    let id = (1 << 64) | u128::from(seed * TURNS + seat + 1);
    let taken = event(id).with_tags([tag]);
    let append = Append::to(stream(&format!("process-{seed}")), [taken]).checking(free);
    match block_on(store.append(append)) {
        Ok(_) | Err(AppendError::Conflict { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn conditions_hold_between_processes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.db");
    // The file is made by whoever comes first.
    let name = "processes::the_child_takes_its_turns";
    let children: Vec<_> = (0..PROCESSES).map(|seed| child(name, &file, seed)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    let store = open(&file);
    let counted = all(&store, Read::stream(stream("counter")));
    let revisions: Vec<_> = counted.iter().map(factum_core::RecordedEvent::revision).collect();
    let expected: Vec<_> = (0..PROCESSES * TURNS).map(Revision).collect();
    assert_eq!(revisions, expected, "every turn was taken once");
    let ids: HashSet<_> = counted.iter().map(factum_core::RecordedEvent::id).collect();
    assert_eq!(ids.len(), counted.len());
    let seats = all(&store, Read::query(Query::All));
    let seats: Vec<&Tag> = seats.iter().flat_map(|event| event.tags()).collect();
    let each: HashSet<&Tag> = seats.iter().copied().collect();
    assert_eq!((seats.len() as u64, each.len() as u64), (TURNS, TURNS), "a seat is taken once");
}
