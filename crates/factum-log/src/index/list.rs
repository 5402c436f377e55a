//! A list of ordinals that takes no memory of its own while it is short: most streams and tags of a
//! segment have an event or two there.

use crate::format::varint::{Reader, put};

/// Appends ascending ordinals: for each run of neighbours how far it is behind the one before, and
/// how many more than one they are.
pub(super) fn put_list(buffer: &mut Vec<u8>, ordinals: &[u32]) {
    let mut end = 0;
    for run in ordinals.chunk_by(|one, next| one + 1 == *next) {
        let Some((first, more)) = run.split_first() else { continue };
        put(buffer, u64::from(first - end) << 1 | u64::from(!more.is_empty()));
        if !more.is_empty() {
            put(buffer, more.len() as u64);
        }
        end = run.last().map_or(end, |last| last + 1);
    }
}

/// Reads so many ordinals.
pub(super) fn read_list(reader: &mut Reader<'_>, count: u32) -> Option<Vec<u32>> {
    let mut ordinals = Vec::with_capacity(reader.left().min(count as usize));
    read_runs(reader, count, |run| ordinals.extend(run))?;
    Some(ordinals)
}

/// Passes over so many ordinals.
pub(super) fn skip_list(reader: &mut Reader<'_>, count: u32) -> Option<()> {
    read_runs(reader, count, |_| ())
}

fn read_runs(
    reader: &mut Reader<'_>,
    count: u32,
    mut each: impl FnMut(std::ops::Range<u32>),
) -> Option<()> {
    let (mut left, mut end) = (count, 0u32);
    while left > 0 {
        let head = reader.varint()?;
        let start = end.checked_add(u32::try_from(head >> 1).ok()?)?;
        let more = if head & 1 == 1 { reader.varint_u32()? } else { 0 };
        left = left.checked_sub(more.checked_add(1)?)?;
        end = start.checked_add(more)?.checked_add(1)?;
        each(start..end);
    }
    Some(())
}

/// Ordinals that fit beside the length, in the room that a longer list's handle takes.
const FEW_MAX: usize = 3;

/// Ascending ordinals.
#[derive(Clone, Debug)]
pub(super) enum List {
    /// So many of these.
    Few(u8, [u32; FEW_MAX]),
    /// More.
    Many(Vec<u32>),
}

impl Default for List {
    fn default() -> Self {
        Self::Few(0, [0; FEW_MAX])
    }
}

impl List {
    pub(super) fn push(&mut self, ordinal: u32) {
        match self {
            Self::Many(ordinals) => ordinals.push(ordinal),
            Self::Few(count, few) => match few.get_mut(usize::from(*count)) {
                Some(place) => {
                    *place = ordinal;
                    *count += 1;
                }
                None => {
                    let mut ordinals = Vec::with_capacity(FEW_MAX * 3);
                    ordinals.extend_from_slice(few);
                    ordinals.push(ordinal);
                    *self = Self::Many(ordinals);
                }
            },
        }
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::Few(count, few) => few.get(..usize::from(*count)).unwrap_or_default(),
            Self::Many(ordinals) => ordinals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let check = |ordinals: &[u32], bytes: usize| {
            let mut written = Vec::new();
            put_list(&mut written, ordinals);
            assert_eq!(written.len(), bytes, "{ordinals:?}");
            let count = u32::try_from(ordinals.len()).unwrap();
            let mut reader = Reader::new(&written);
            assert_eq!(read_list(&mut reader, count).as_deref(), Some(ordinals));
            assert!(reader.is_at_end());
            let mut reader = Reader::new(&written);
            assert_eq!((skip_list(&mut reader, count), reader.is_at_end()), (Some(()), true));
            assert_eq!(read_list(&mut Reader::new(&written), count + 1), None);
            if count > 1 && bytes < ordinals.len() {
                assert_eq!(read_list(&mut Reader::new(&written), count - 1), None, "half a run");
            }
        };
        check(&[], 0);
        check(&[0], 1);
        check(&[63, 127], 2);
        check(&[5, 6, 7, 8, 20, 30, 31], 5);
        check(&(0..1000).collect::<Vec<_>>(), 3);
        check(&[u32::MAX - 1], 5);
    }

    #[test]
    fn it_holds_what_was_pushed() {
        let mut list = List::default();
        for n in 0..100u32 {
            let before: Vec<u32> = (0..n).collect();
            assert_eq!(list.as_slice(), before);
            list.push(n);
        }
        assert_eq!(size_of::<List>(), size_of::<Vec<u32>>(), "short ones are free");
    }
}
