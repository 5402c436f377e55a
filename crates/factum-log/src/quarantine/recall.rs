//! What an index knows of the events of its segment: where the segment has lost them, this is what
//! is left of them.

use crate::{
    error::{Damage, Fault},
    format::names::{NameKind, NewName},
    index::{Index, MemoryIndex, TermKind, WholeTerm},
    rewrite::Remains,
};
use factum_core::{EventType, StreamName, Tag};
use std::collections::BTreeMap;

/// What is known of an event so far.
#[derive(Default)]
struct Part {
    stream: Option<(StreamName, u64)>,
    event_type: Option<EventType>,
    tags: Vec<Tag>,
    key: Option<u32>,
}

/// All events that an index knows, by ordinal.
///
/// Fails where it is not whole, or says half of an event only, and where events were lost before of
/// which nothing is known: then revisions do not follow each other, and it does not say them.
pub(super) fn recall(index: &Index) -> Result<BTreeMap<u32, Remains>, Fault> {
    let misfit = || Fault::Damaged { file: "".into(), offset: 0, what: Damage::Index };
    if index.lost()?.unknown_in(0..u32::MAX).is_some() {
        return Err(misfit());
    }
    let mut parts: BTreeMap<u32, Part> = BTreeMap::new();
    for term in terms(index, TermKind::Stream) {
        let WholeTerm { name, first_revision, ordinals } = term?;
        for (ordinal, revision) in ordinals.into_iter().zip(first_revision..) {
            let stream = StreamName::trusted(name.clone());
            parts.entry(ordinal).or_default().stream = Some((stream, revision));
        }
    }
    for term in terms(index, TermKind::Type) {
        let WholeTerm { name, ordinals, .. } = term?;
        for ordinal in ordinals {
            let event_type = EventType::trusted(name.clone());
            parts.entry(ordinal).or_default().event_type = Some(event_type);
        }
    }
    for term in terms(index, TermKind::Tag) {
        let WholeTerm { name, ordinals, .. } = term?;
        for ordinal in ordinals {
            parts.entry(ordinal).or_default().tags.push(Tag::trusted(name.clone()));
        }
    }
    for (key, ordinal) in index.id_pairs()? {
        parts.entry(ordinal).or_default().key = Some(key);
    }
    let whole = |(ordinal, part): (u32, Part)| {
        let Part { stream, event_type, tags, key } = part;
        let (stream, revision) = stream?;
        let (event_type, key) = (event_type?, key?);
        Some((ordinal, Remains { ordinal, stream, revision, event_type, tags, key }))
    };
    parts.into_iter().map(whole).collect::<Option<_>>().ok_or_else(misfit)
}

fn terms(index: &Index, kind: TermKind) -> impl Iterator<Item = Result<WholeTerm, Fault>> {
    let count = index.names(kind);
    (0..count).filter_map(move |number| index.term(kind, number).transpose())
}

/// The names of a segment by their numbers, so that a frame whose names were said in a damaged one
/// still makes sense.
pub(super) fn names(index: &Index) -> Result<MemoryIndex, Fault> {
    let mut names = MemoryIndex::default();
    let kinds = [
        (TermKind::Stream, NameKind::Stream),
        (TermKind::Type, NameKind::Type),
        (TermKind::Tag, NameKind::Tag),
    ];
    for (of, kind) in kinds {
        for number in 0..index.names(of) {
            if let Some(term) = index.term(of, number)? {
                names.learn(&NewName { kind, number, name: (&*term.name).into() });
            }
        }
    }
    Ok(names)
}
