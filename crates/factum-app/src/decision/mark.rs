//! How far a boundary was read, and the checks that nothing has come since.

use super::Part;
use crate::planted::{Bug, is_on};
use factum_core::{
    Capabilities, Check, EventType, Expected, Item, Position, Query, Revision, StreamName, system,
};

/// How far a part of a boundary was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// Everything up to here.
    pub at: Position,
    /// Of a stream: the revision of its last event, where it ever had one.
    pub revision: Option<Revision>,
}

impl Mark {
    /// That a part is still as it was. Equal checks are there once.
    ///
    /// A stream's revision does not tell that the stream was deleted or cut, so its metadata must
    /// be as it was too. It is asked for by prefix, as a query knows no exact stream: metadata of a
    /// stream with a longer name is a conflict for nothing, and rare.
    pub(crate) fn check(self, part: &Part, store: &Capabilities, checks: &mut Vec<Check>) {
        let mut push = |check: Check| {
            if !checks.contains(&check) {
                checks.push(check);
            }
        };
        match part {
            Part::Stream(stream) => {
                let expected = self.revision.map_or(Expected::NoStream, Expected::At);
                push(Check::Stream { stream: stream.clone(), expected });
                if store.query_checks && !is_on(Bug::ForgetDeletion) {
                    push(Check::NoMatch { query: hides(stream), after: self.at });
                }
            }
            Part::Query(query) => push(Check::NoMatch { query: query.clone(), after: self.at }),
        }
    }
}

/// Whatever hides events of a stream.
pub(super) fn hides(stream: &StreamName) -> Query {
    let metadata = EventType::new(system::METADATA).expect("a constant that is a name");
    Query::AnyOf(vec![Item {
        types: vec![metadata],
        stream_prefixes: vec![stream.metadata_stream().as_str().into()],
        ..Item::default()
    }])
}
