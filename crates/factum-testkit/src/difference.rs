//! Assertions that show where two values differ, line by line, instead of both in full.

use similar::TextDiff;
use std::fmt::Debug;

/// Lines of agreement shown before and after a difference.
const CONTEXT: usize = 3;

/// Panics if the two differ, and shows where.
///
/// # Panics
/// If `got` is not `want`.
#[track_caller]
pub fn same<T: Debug + PartialEq>(what: &str, got: T, want: T) {
    if got != want {
        panic!("{what}: not as expected (- expected, + got)\n{}", of(&got, &want));
    }
}

/// Where the `Debug` of two values differs.
pub(crate) fn of<T: Debug>(got: &T, want: &T) -> String {
    lines(&format!("{got:#?}"), &format!("{want:#?}"))
}

/// The lines that differ, with a little of what is around them.
pub(crate) fn lines(got: &str, want: &str) -> String {
    let (want, got): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    let diff = TextDiff::from_slices(&want, &got);
    let mut shown = String::new();
    for (nth, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if nth > 0 {
            shown.push_str("    ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            shown.push_str(&format!("  {} {}\n", change.tag(), change.value()));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_a_little_around_it() {
        let got = "a\nb\nc\nd\nX\nf\ng\nh\ni";
        let want = "a\nb\nc\nd\ne\nf\ng\nh\ni";
        let shown = lines(got, want);
        assert_eq!(shown, "    b\n    c\n    d\n  - e\n  + X\n    f\n    g\n    h\n");
    }

    #[test]
    fn one_may_be_a_part_of_the_other() {
        assert_eq!(lines("a\na", "a\na\na"), "    a\n    a\n  - a\n");
        assert_eq!(lines("", "a"), "  - a\n");
    }
}
