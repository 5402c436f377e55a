//! Names of one kind, numbered in the order of their first use, in few and large pieces of memory:
//! one text, where each name ends, and a table that finds the number of a name.

use super::{hash32, slots::Slots};

/// More names than this are not lost in one piece of damage: the number itself is wrong.
const LOST_NAMES_MAX: usize = 1 << 24;

/// Names and their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
    slots: Slots,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name with this number.
    pub(super) fn get(&self, number: u32) -> Option<&str> {
        at(&self.text, &self.ends, number)
    }

    /// All names, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let count = u32::try_from(self.len()).expect(FEW);
        (0..count).map(|number| self.get(number).expect("below the count"))
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.slots.get(hash32(name.as_bytes()), |number| self.get(number) == Some(name))
    }

    /// The number of a name, and whether it is new.
    pub(super) fn intern(&mut self, name: &str) -> (u32, bool) {
        match self.number(name) {
            Some(number) => (number, false),
            None => (self.push(name), true),
        }
    }

    /// Gives a name the number that the log says; names between are lost. `None` if the number is
    /// taken by another, or cannot be.
    pub(super) fn intern_at(&mut self, number: u32, name: &str) -> Option<()> {
        if self.get(number) == Some(name) {
            return Some(());
        }
        let missing = (number as usize).checked_sub(self.len())?;
        if missing > LOST_NAMES_MAX {
            return None;
        }
        let end = u32::try_from(self.text.len()).ok()?;
        self.ends.extend(std::iter::repeat_n(end, missing));
        self.push(name);
        Some(())
    }

    /// Adds a name. One that is there has the later number from now on.
    fn push(&mut self, name: &str) -> u32 {
        let number = u32::try_from(self.len()).expect(FEW);
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).expect(FEW));
        let Self { text, ends, slots } = self;
        let is_it = |number| at(text, ends, number) == Some(name);
        slots.put(hash32(name.as_bytes()), number, is_it);
        number
    }
}

fn at<'a>(text: &'a str, ends: &[u32], number: u32) -> Option<&'a str> {
    let end = *ends.get(number as usize)?;
    let before = number.checked_sub(1).and_then(|before| ends.get(before as usize));
    text.get(before.copied().unwrap_or(0) as usize..end as usize)
}

const FEW: &str = "a segment is smaller than 4 GiB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_numbers() {
        let mut names = Names::default();
        assert_eq!((names.number("a"), names.get(0)), (None, None));
        for n in 0..1000u32 {
            assert_eq!(names.intern(&format!("name-{n}")), (n, true));
            assert_eq!(names.intern(&format!("name-{}", n / 2)), (n / 2, false));
        }
        for n in 0..1000u32 {
            let name = format!("name-{n}");
            assert_eq!((names.number(&name), names.get(n)), (Some(n), Some(&*name)));
        }
        assert_eq!((names.number("name-1000"), names.iter().count()), (None, 1000));
    }

    #[test]
    fn lost_names_are_empty() {
        let mut names = Names::default();
        assert_eq!(names.intern_at(2, "c"), Some(()));
        assert_eq!((names.get(0), names.get(2), names.number("c")), (Some(""), Some("c"), Some(2)));
        assert_eq!(names.intern_at(1, "b"), None);
        assert_eq!(names.intern_at(2, "c"), Some(()), "it is known by that number");
        assert_eq!(names.intern_at(u32::MAX, "z"), None);
        assert_eq!(names.intern_at(3, "c"), Some(()));
        assert_eq!(names.number("c"), Some(3), "said again, the later number counts");
    }
}
