//! Rules about lines: the header of a file, the width, white space, paths of somebody's machine.

use super::{Rule, Violation, tree::File};

static HEADER: Rule = Rule {
    name: "header",
    reason: "a file opens with `//!`: what lives here, why it is apart, what must hold",
};
static COLUMNS: Rule =
    Rule { name: "columns", reason: "100 columns, so that two files fit side by side" };
static WHITE_SPACE: Rule = Rule {
    name: "white space",
    reason: "no tabs, nothing at the end of a line: a change shows only what changed",
};
static MACHINE: Rule = Rule {
    name: "machine paths",
    reason: "the project builds in any folder; a path of one machine is wrong on all others",
};
static ROOT: Rule = Rule {
    name: "pages at the root",
    reason: "who comes first sees the root: a page there is one of a few; others live in docs/",
};

/// What may lie at the root.
const ROOT_PAGES: &[&str] = &["ARCHITECTURE.md", "CHANGELOG.md", "README.md", "SECURITY.md"];

const COLUMNS_MAX: usize = 100;

/// Beginnings of paths that exist on one machine only. In two parts, or this file would break the
/// rule.
const MACHINE_PATHS: &[(&str, &str)] = &[
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/Us", "ers/"),
    ("/wo", "rk/"),
    ("C:\\Us", "ers\\"),
    ("/tmp/", "target"),
];

/// All of this file's lines.
pub(super) fn check(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |line: usize, rule: &'static Rule, what: String| {
        found.push(Violation { path: file.path.clone(), line, rule, found: what });
    };
    let written = !file.is_generated();
    if written && file.ends("rs") && !file.text.starts_with("//!") {
        report(1, &HEADER, "the first line is no `//!`".to_owned());
    }
    if file.ends("md") && !file.path.contains('/') && !ROOT_PAGES.contains(&file.path.as_str()) {
        report(1, &ROOT, "is none of them".to_owned());
    }
    for (line, number) in file.text.lines().zip(1..) {
        if written && let Some(what) = white_space(line) {
            report(number, &WHITE_SPACE, what.to_owned());
        }
        let columns = line.chars().count();
        if written && file.ends("rs") && columns > COLUMNS_MAX && !is_link(line) {
            report(number, &COLUMNS, format!("{columns} columns"));
        }
        if let Some(path) = machine_path(line) {
            report(number, &MACHINE, format!("names `{path}…`"));
        }
    }
    found
}

fn white_space(line: &str) -> Option<&'static str> {
    if line.contains('\t') {
        Some("a tab")
    } else if line.ends_with(char::is_whitespace) {
        Some("white space at the end")
    } else {
        None
    }
}

/// A comment with an address, which cannot be broken.
fn is_link(line: &str) -> bool {
    line.trim_start().starts_with("//") && line.contains("://")
}

/// The first such path that does not merely continue another (`example.org/home/` is none).
fn machine_path(line: &str) -> Option<String> {
    let paths = MACHINE_PATHS.iter().map(|(start, end)| format!("{start}{end}"));
    paths.into_iter().find(|path| {
        line.match_indices(path.as_str()).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || "._-~}*".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::file;
    use super::*;

    fn check_rules(path: &str, text: &str, expect: &[(usize, &str)]) {
        let found = check(&file(path, text));
        let found: Vec<_> = found.iter().map(|one| (one.line, one.rule.name)).collect();
        assert_eq!(found, expect, "{path}: {text:?}");
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        check_rules("a.rs", "use std::fs;\n", &[(1, "header")]);
        check_rules("a.rs", "//! Why.\n", &[]);
        check_rules("docs/a.md", "# Title\n", &[]);
        check_rules("a/generated/b.rs", "use std::fs;\n", &[]);
    }

    #[test]
    fn a_page_at_the_root_that_nobody_knows_is_found() {
        check_rules("NOTES.md", "# Notes\n", &[(1, "pages at the root")]);
        check_rules("README.md", "# Factum\n", &[]);
    }

    #[test]
    fn a_line_of_more_than_100_columns_is_found() {
        let at_the_limit = format!("//! {}\n", "ü".repeat(96));
        check_rules("a.rs", &at_the_limit, &[]);
        check_rules("a.rs", &format!("{at_the_limit}// {}\n", "x".repeat(98)), &[(2, "columns")]);
        check_rules("a.rs", &format!("//! https://{}\n", "x".repeat(98)), &[]);
    }

    #[test]
    fn tabs_and_trailing_white_space_are_found() {
        check_rules("docs/a.md", "a\tb\n", &[(1, "white space")]);
        check_rules("a.toml", "ok\nbad \n", &[(2, "white space")]);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let home = format!("{}{}someone/factum", "/ho", "me/");
        check_rules("docs/a.md", &format!("run `{home}`\n"), &[(1, "machine paths")]);
        check_rules("docs/a.md", &format!("see https://example.org{home}\n"), &[]);
    }
}
