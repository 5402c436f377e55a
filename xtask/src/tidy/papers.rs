//! Rules about the papers: the changelog, the lock file, the lists of what is banned.

use std::process::Command;

use super::{Rule, Violation, tree::File};
use crate::{
    block::Block,
    compare, prove,
    workspace::{Workspace, capture},
};

static CHANGELOG: Rule = Rule {
    name: "changelog",
    reason: "users read what changed in CHANGELOG.md, and changes wait there under Unreleased",
};
static LOCK: Rule = Rule {
    name: "lock file",
    reason: "what was tested is what the lock file says: commit the change that cargo made to it",
};
static BUILT: Rule = Rule {
    name: "built",
    reason: "what cargo builds is for one machine, and names its folders: .gitignore leaves it out",
};
static BANS: Rule = Rule {
    name: "bans",
    reason: "clippy reads the nearest clippy.toml only: a crate's own repeats all of the root's",
};

static LEDGER: Rule = Rule {
    name: "ledger",
    reason: "what is said of the programme is what was run: `cargo xtask prove --summary`",
};

static COMPARISON: Rule = Rule {
    name: "comparison",
    reason: "what is said of other frameworks is what is counted: `cargo xtask compare`",
};

const UNRELEASED: &str = "## [Unreleased]";

/// The changelog.
pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let changelog = files.iter().find(|file| file.path == "CHANGELOG.md");
    if changelog.is_some_and(|file| file.text.lines().any(|line| line == UNRELEASED)) {
        return Vec::new();
    }
    let found = format!("no section `{UNRELEASED}`");
    vec![Violation { path: "CHANGELOG.md".to_owned(), line: 1, rule: &CHANGELOG, found }]
}

/// The table that is made of the ledger.
pub(super) fn check_ledger(workspace: &Workspace) -> Vec<Violation> {
    let found = match prove::stale(workspace) {
        Ok(false) => return Vec::new(),
        Ok(true) => "the table of the ledger is not what the ledger says".to_owned(),
        Err(error) => error.to_string(),
    };
    vec![Violation { path: Block::GUARANTEES.to_owned(), line: 1, rule: &LEDGER, found }]
}

/// The table of the same application in other frameworks.
pub(super) fn check_comparison(workspace: &Workspace) -> Vec<Violation> {
    let found = match compare::stale(workspace) {
        Ok(false) => return Vec::new(),
        Ok(true) => "the table is not what the programs count to".to_owned(),
        Err(error) => error.to_string(),
    };
    vec![Violation { path: compare::PAGE.to_owned(), line: 1, rule: &COMPARISON, found }]
}

/// Every `clippy.toml` of a crate has each line of the root's.
pub(super) fn check_bans(files: &[File]) -> Vec<Violation> {
    let Some(root) = files.iter().find(|file| file.path == "clippy.toml") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("/clippy.toml")) {
        let own: Vec<&str> = file.text.lines().collect();
        let settings = root.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in settings.filter(|line| !own.contains(line)) {
            let what = format!("lacks the root's line `{}`", line.trim());
            found.push(Violation { path: file.path.clone(), line: 1, rule: &BANS, found: what });
        }
    }
    found
}

/// The lock file, in CI only: who is changing dependencies has a changed lock file.
pub(super) fn check_lock(workspace: &Workspace) -> Vec<Violation> {
    if std::env::var_os("CI").is_none() {
        return Vec::new();
    }
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["status", "--porcelain", "--", "Cargo.lock"]);
    // Without git there is nothing to compare with.
    if !capture(&mut git).is_ok_and(|changed| !changed.trim().is_empty()) {
        return Vec::new();
    }
    let found = "differs from what is committed".to_owned();
    vec![Violation { path: "Cargo.lock".to_owned(), line: 1, rule: &LOCK, found }]
}

/// What cargo has built is not committed. Without git nothing is.
pub(super) fn check_built(workspace: &Workspace) -> Vec<Violation> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).arg("ls-files");
    built(&capture(&mut git).unwrap_or_default())
}

/// The first committed file of each target folder among these: cargo marks the folder.
fn built(committed: &str) -> Vec<Violation> {
    let marks = committed.lines().filter(|path| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        matches!(name, "CACHEDIR.TAG" | ".rustc_info.json")
            || folder.ends_with("/debug/deps")
            || folder.ends_with("/release/deps")
    });
    let violation = |path: &str| {
        let (path, found) = (path.to_owned(), "is the output of a build".to_owned());
        Violation { path, line: 1, rule: &BUILT, found }
    };
    marks.take(1).map(violation).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tree::file;
    use super::*;

    #[test]
    fn a_changelog_without_unreleased_is_found() {
        assert_eq!(check(&[]).len(), 1);
        assert_eq!(check(&[file("CHANGELOG.md", "# Changelog\n\n## [0.1.0]\n")]).len(), 1);
        assert!(check(&[file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")]).is_empty());
    }

    /// Cause: the rule that ignores `target/` was anchored, for a module of that name, and the
    /// folder of a workspace in `xtask/` was committed. Fix: ignored everywhere but in `src`.
    #[test]
    fn what_was_built_is_found_and_a_module_called_target_is_not() {
        assert_eq!(built("a.rs\nx/y/target/CACHEDIR.TAG\nx/y/target/debug/deps/z.d\n").len(), 1);
        assert_eq!(built("x/target/debug/deps/z.rlib").len(), 1);
        assert!(built("crates/x/src/target/rows.rs\nREADME.md\n").is_empty());
    }

    #[test]
    fn a_crate_that_forgets_a_ban_is_found() {
        let root = file("clippy.toml", "# Why.\n\nbans = [\n    \"a\",\n    \"b\",\n]\n");
        let own = file("crates/x/clippy.toml", "bans = [\n    \"a\",\n    \"c\",\n]\n");
        let found = check_bans(&[root, own]);
        assert_eq!(found.len(), 1);
        assert!(found.first().unwrap().found.contains("\"b\""));
    }
}
