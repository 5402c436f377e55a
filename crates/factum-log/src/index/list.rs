//! A list of ordinals that takes no memory of its own while it is short: most streams and tags of a
//! segment have an event or two there.

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
