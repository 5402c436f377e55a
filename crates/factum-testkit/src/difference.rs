//! Assertions that show where two values differ, line by line, instead of both in full.

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
        let shown = difference(&format!("{got:#?}"), &format!("{want:#?}"));
        panic!("{what}: not as expected (- expected, + got)\n{shown}");
    }
}

/// The lines that differ, with a little of what is around them.
fn difference(got: &str, want: &str) -> String {
    let got: Vec<&str> = got.lines().collect();
    let want: Vec<&str> = want.lines().collect();
    let head = got.iter().zip(&want).take_while(|(a, b)| a == b).count();
    let room = got.len().min(want.len()) - head;
    let tail = got.iter().rev().zip(want.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(room);
    let mut shown = String::new();
    let mut add = |mark: &str, lines: &mut dyn Iterator<Item = &&str>| {
        lines.for_each(|line| shown.push_str(&format!("  {mark} {line}\n")));
    };
    add(" ", &mut got.iter().take(head).skip(head.saturating_sub(CONTEXT)));
    add("-", &mut want.iter().take(want.len() - tail).skip(head));
    add("+", &mut got.iter().take(got.len() - tail).skip(head));
    add(" ", &mut got.iter().skip(got.len() - tail).take(CONTEXT));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_a_little_around_it() {
        let got = "a\nb\nc\nd\nX\nf\ng\nh\ni";
        let want = "a\nb\nc\nd\ne\nf\ng\nh\ni";
        let shown = difference(got, want);
        assert_eq!(shown, "    b\n    c\n    d\n  - e\n  + X\n    f\n    g\n    h\n");
    }

    #[test]
    fn one_may_be_a_part_of_the_other() {
        assert_eq!(difference("a\na", "a\na\na"), "    a\n    a\n  - a\n");
        assert_eq!(difference("", "a"), "  - a\n");
    }
}
