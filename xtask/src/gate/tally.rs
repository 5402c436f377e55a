//! Counts tests by what their programs print.
//!
//! Apart because it is the only thing here that knows the words of a test harness. Nothing that is
//! no count may be taken for one: a wrong closing line would hide a failure.

use super::failures::Failures;
use std::fmt;

/// How many tests passed, failed and were skipped, and what is known of the latter.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// `name: reason` of what was skipped.
    pub(super) notes: Vec<String>,
    /// The tests that failed, with what they printed.
    pub(super) failures: Failures,
}

impl Tally {
    /// Takes in a line of output.
    pub(super) fn see(&mut self, line: &str) {
        self.failures.see(line);
        if let Some(result) = line.strip_prefix("test result: ") {
            let (_, counts) = result.split_once(". ").unwrap_or_default();
            self.count(counts.split(';'));
        } else if let Some(name) = ignored(line) {
            self.notes.push(name);
        } else if is_closing_line(line) {
            self.count(line.rsplit(": ").next().unwrap_or_default().split(','));
        }
    }

    /// Takes in the file in which tests say that they were skipped: they had counted as passed.
    pub(super) fn take_skips(&mut self, file: &str) {
        let mut lines: Vec<&str> = file.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.sort_unstable();
        lines.dedup();
        let count = lines.len() as u64;
        self.passed = self.passed.saturating_sub(count);
        self.skipped += count;
        self.notes.extend(lines.into_iter().map(str::to_owned));
    }

    /// Adds another's counts.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.notes.extend(other.notes.iter().cloned());
        self.failures.add(&other.failures);
    }

    fn count<'a>(&mut self, parts: impl Iterator<Item = &'a str>) {
        for (number, word) in parts.filter_map(number_and_word) {
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "skipped" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped, .. } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// `test NAME ... ignored` and `test NAME ... ignored, REASON`.
fn ignored(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = rest.strip_prefix(", ").unwrap_or("ignored, without a reason");
    Some(format!("{name}: {reason}"))
}

/// `N passed, N failed` or `N passed, N failed, N skipped`, perhaps after one word and a colon.
fn is_closing_line(line: &str) -> bool {
    let counts = match line.split_once(": ") {
        Some((word, counts)) if !word.contains(' ') => counts,
        Some(_) => return false,
        None => line,
    };
    let words: Vec<_> = counts.split(',').map(|part| number_and_word(part).map(|p| p.1)).collect();
    let expect = [Some("passed"), Some("failed"), Some("skipped")];
    words.len() >= 2 && expect.starts_with(&words)
}

fn number_and_word(part: &str) -> Option<(u64, &str)> {
    let (number, word) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expect: (u64, u64, u64)) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.see(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.skipped), expect, "{lines:?}");
        tally
    }

    #[test]
    fn results_of_the_test_harness_are_summed() {
        let ok = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; \
                  finished in 0.01s";
        let bad = "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out";
        check(&[ok, "running 6 tests", bad], (7, 4, 1));
    }

    #[test]
    fn a_closing_line_of_a_program_counts() {
        check(&["12 passed, 0 failed", "smoke: 3 passed, 1 failed, 2 skipped"], (15, 1, 2));
    }

    #[test]
    fn other_lines_with_the_same_words_do_not() {
        let lines = [
            "5 passed",
            "after a while: 5 passed, 0 failed",
            "5 passed, 0 failed, 3 skipped, 4 more",
            "about 5 passed, 0 failed",
            "5 failed, 3 passed",
            "test result:",
        ];
        check(&lines, (0, 0, 0));
    }

    #[test]
    fn an_ignored_test_is_named_with_its_reason() {
        let lines = ["test slow ... ignored, takes an hour", "test odd ... ignored"];
        let tally = check(&lines, (0, 0, 0));
        assert_eq!(tally.notes, ["slow: takes an hour", "odd: ignored, without a reason"]);
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let mut tally = check(&["3 passed, 0 failed"], (3, 0, 0));
        tally.take_skips("real_logs: no ../shared/data\n\nreal_logs: no ../shared/data\n");
        assert_eq!((tally.passed, tally.skipped), (2, 1));
        assert_eq!(tally.notes, ["real_logs: no ../shared/data"]);
    }
}
