//! Making a run of index files, or of smaller runs: a merge of sorted tables, read and written from
//! front to back.

use super::{
    IDS, TABLES,
    run::{HEAD_BYTES, MAGIC, Run, TableSpan, VERSION},
};
use crate::{
    disk::File,
    error::Fault,
    index::{IndexFile, TermKind, paged::PageWriter, table::TableBuilder},
    planted::{Bug, is_on},
};
use std::{iter::Peekable, path::Path, sync::Arc};

/// What a run is made of.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Segment(Arc<IndexFile>),
    Run(Arc<Run>),
}

type Pairs<'a> = Box<dyn Iterator<Item = Result<(u32, u32), Fault>> + 'a>;

const KINDS: [TermKind; TABLES - 1] =
    [TermKind::Stream, TermKind::Type, TermKind::Tag, TermKind::Category];

impl Part {
    fn segments(&self) -> u32 {
        match self {
            Self::Segment(_) => 1,
            Self::Run(run) => run.segments,
        }
    }

    pub(super) fn level(&self) -> u32 {
        match self {
            Self::Segment(_) => 0,
            Self::Run(run) => run.level,
        }
    }

    /// How many pairs a table has.
    fn count(&self, table: usize) -> u64 {
        match (self, KINDS.get(table)) {
            (Self::Run(run), _) => run.tables.get(table).map_or(0, |span| span.pairs),
            (Self::Segment(file), Some(kind)) => file.names(*kind),
            (Self::Segment(file), None) => file.ids(),
        }
    }

    pub(super) fn count_all(&self) -> u64 {
        (0..TABLES).map(|table| self.count(table)).sum()
    }

    /// The pairs of a table, ascending; `first` is the number of the part's first segment.
    fn pairs(&self, table: usize, first: u32) -> Pairs<'_> {
        let of_segment = move |key: Result<u32, Fault>| key.map(|key| (key, first));
        match (self, KINDS.get(table)) {
            (Self::Segment(file), Some(kind)) => Box::new(file.hashes(*kind).map(of_segment)),
            (Self::Segment(file), None) => Box::new(file.id_keys().map(of_segment)),
            (Self::Run(run), _) => Box::new(run.pairs(table).map(move |pair| {
                let (key, nth) = pair?;
                Ok((key, first.saturating_add(nth)))
            })),
        }
    }
}

/// Writes a run of parts in a row to a file, which is not durable yet.
pub(super) fn merge(
    parts: &[Part],
    (file, path): (Box<dyn File>, &Path),
    seed: u64,
) -> Result<Box<dyn File>, Fault> {
    let mut writer = PageWriter::new(file, seed);
    let mut spans = [TableSpan::default(); TABLES];
    for (table, span) in spans.iter_mut().enumerate() {
        *span = merge_table(parts, table, (&mut writer, path))?;
    }
    assert_eq!(spans.len(), IDS + 1, "ids are the last table");
    let mut head = Vec::from(MAGIC);
    let level = parts.iter().map(Part::level).max().unwrap_or(0) + 1;
    let segments: u32 = parts.iter().map(Part::segments).sum();
    for field in [VERSION, level, segments, 0] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    let fields = spans.iter().flat_map(|span| [span.pairs, span.starts, span.bytes, span.end]);
    fields.for_each(|field| head.extend_from_slice(&field.to_le_bytes()));
    assert_eq!(head.len(), HEAD_BYTES, "the head has its length");
    writer.finish(&head).map_err(Fault::io("write", path))
}

fn merge_table(
    parts: &[Part],
    table: usize,
    (writer, path): (&mut PageWriter, &Path),
) -> Result<TableSpan, Fault> {
    let mut span = TableSpan { bytes: writer.offset(), ..TableSpan::default() };
    span.pairs = parts.iter().map(|part| part.count(table)).sum();
    let mut first = 0;
    let mut inputs = Vec::new();
    for part in parts {
        inputs.push(part.pairs(table, first).peekable());
        first += part.segments();
    }
    let (mut builder, mut out) = (TableBuilder::new(span.pairs), Vec::new());
    while let Some(pair) = least(&mut inputs) {
        let pair = pair?;
        if pair.1 + 1 == first && is_on(Bug::ForgetInMerge) {
            continue;
        }
        builder.push(pair, &mut out);
        if out.len() >= WRITTEN_AT_ONCE {
            writer.put(&out).map_err(Fault::io("write", path))?;
            out.clear();
        }
    }
    let starts = builder.finish(&mut out);
    writer.put(&out).map_err(Fault::io("write", path))?;
    span.end = writer.offset();
    span.starts = span.end;
    let starts: Vec<u8> = starts.into_iter().flat_map(u32::to_le_bytes).collect();
    writer.put(&starts).map_err(Fault::io("write", path))?;
    Ok(span)
}

/// Bytes of a table that are handed to the writer at once.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// Takes the least pair of all inputs; a fault comes before any.
fn least(inputs: &mut [Peekable<Pairs<'_>>]) -> Option<Result<(u32, u32), Fault>> {
    let mut best: Option<(usize, (u32, u32))> = None;
    for (nth, input) in inputs.iter_mut().enumerate() {
        match input.peek() {
            None => {}
            Some(Err(_)) => return input.next(),
            Some(Ok(pair)) if best.is_none_or(|(_, least)| *pair < least) => {
                best = Some((nth, *pair));
            }
            Some(Ok(_)) => {}
        }
    }
    inputs.get_mut(best?.0)?.next()
}
