//! Places that are looked at, in one direction or the other.

/// From one place to another, both inclusive, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lower end.
    pub first: u64,
    /// The upper end.
    pub last: u64,
    /// From the upper end down.
    pub backward: bool,
}

impl Span {
    /// A window at the beginning, and what is left.
    #[must_use]
    pub fn cut(self, size: u64) -> (Self, Option<Self>) {
        if self.last - self.first < size {
            return (self, None);
        }
        if self.backward {
            let first = self.last - (size - 1);
            return (Self { first, ..self }, Some(Self { last: first - 1, ..self }));
        }
        let last = self.first + (size - 1);
        (Self { last, ..self }, Some(Self { first: last + 1, ..self }))
    }

    /// What is left when a place was seen.
    #[must_use]
    pub fn past(self, place: u64) -> Option<Self> {
        let left = match self.backward {
            true => Self { last: place.checked_sub(1)?, ..self },
            false => Self { first: place.checked_add(1)?, ..self },
        };
        (left.first <= left.last).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_cut_at_the_end_that_it_begins_with() {
        let span = |first, last, backward| Span { first, last, backward };
        assert_eq!(span(1, 9, false).cut(4), (span(1, 4, false), Some(span(5, 9, false))));
        assert_eq!(span(1, 9, true).cut(4), (span(6, 9, true), Some(span(1, 5, true))));
        assert_eq!(span(1, 9, true).cut(9), (span(1, 9, true), None));
        assert_eq!(span(1, 9, false).past(3), Some(span(4, 9, false)));
        assert_eq!(span(1, 9, true).past(1), None);
    }
}
