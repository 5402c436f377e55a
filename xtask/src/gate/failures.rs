//! What a test harness says of the tests that failed: their names, and what they had to say.
//!
//! Apart from the counts because it is told again at the very end: whoever reads only the last page
//! of a long run must find there which test it was, and why.

/// Lines kept of what one failed test printed: a panic, what it compared, where.
const LINES_MAX: usize = 40;

/// Failed tests kept with what they printed; of the others there is the count.
const FAILURES_MAX: usize = 40;

/// The tests that failed, in the order in which their harness told them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Failures {
    all: Vec<Failure>,
    /// Whether the lines that come belong to the last of them.
    inside: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    name: String,
    printed: Vec<String>,
    left_out: usize,
}

impl Failures {
    /// Takes in a line of output.
    pub(super) fn see(&mut self, line: &str) {
        if let Some(name) = title(line) {
            self.inside = self.all.len() < FAILURES_MAX;
            if self.inside {
                self.all.push(Failure { name: name.to_owned(), printed: Vec::new(), left_out: 0 });
            }
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.inside = false;
        } else if let (true, Some(last)) = (self.inside, self.all.last_mut()) {
            last.take(line);
        }
    }

    /// Each with what it printed, indented.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.all.iter().flat_map(Failure::lines)
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        self.all.extend(other.all.iter().cloned());
    }
}

impl Failure {
    fn take(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.printed.len() < LINES_MAX {
            self.printed.push(line.to_owned());
        } else {
            self.left_out += 1;
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.name.clone()];
        lines.extend(self.printed.iter().map(|line| format!("    {line}")));
        if self.left_out > 0 {
            lines.push(format!("    … and {} lines more, above", self.left_out));
        }
        lines
    }
}

/// `---- NAME stdout ----`
fn title(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str]) -> Vec<String> {
        let mut failures = Failures::default();
        for line in lines {
            failures.see(line);
        }
        failures.lines().collect()
    }

    #[test]
    fn a_failed_test_is_told_with_what_it_printed() {
        let output = [
            "test money::adds_up ... FAILED",
            "",
            "failures:",
            "",
            "---- money::adds_up stdout ----",
            "",
            "thread 'money::adds_up' panicked at src/money.rs:1:1:",
            "assertion failed",
            "",
            "---- money::is_there stdout ----",
            "none",
            "",
            "failures:",
            "    money::adds_up",
            "    money::is_there",
            "",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored",
            "running 2 tests",
        ];
        let expect = [
            "money::adds_up",
            "    thread 'money::adds_up' panicked at src/money.rs:1:1:",
            "    assertion failed",
            "money::is_there",
            "    none",
        ];
        assert_eq!(seen(&output), expect);
    }

    #[test]
    fn a_test_that_prints_without_end_is_cut() {
        let mut output = vec!["---- loud stdout ----"];
        output.resize(LINES_MAX + 4, "again");
        let told = seen(&output);
        assert_eq!(told.len(), LINES_MAX + 2);
        assert_eq!(told.last().map(String::as_str), Some("    … and 3 lines more, above"));
    }
}
