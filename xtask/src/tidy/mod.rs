//! `cargo xtask tidy`: the house rules that no compiler and no lint enforces.
//!
//! A rule is a function from the tree (or from what cargo knows) to violations, and each violation
//! carries the rule's reason: whoever meets a rule for the first time should not have to ask. Every
//! rule has a unit test that sees it fire. There is no way to switch a rule off in one place:
//! a rule that is wrong somewhere is a rule to mend here.

mod arrows;
mod budget;
mod errors;
mod links;
mod papers;
mod sizes;
mod text;
mod tree;

use std::{error::Error, fmt};

use crate::workspace::Workspace;

/// What must hold, and why.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    name: &'static str,
    reason: &'static str,
}

/// A place where a rule does not hold.
#[derive(Debug)]
struct Violation {
    path: String,
    /// From 1.
    line: usize,
    rule: &'static Rule,
    found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, found } = self;
        write!(f, "{path}:{line}: {found}\n    {}: {}", rule.name, rule.reason)
    }
}

/// Checks everything and prints what is wrong; true where nothing is.
pub(crate) fn report(workspace: &Workspace) -> Result<bool, Box<dyn Error>> {
    let mut violations = check(workspace)?;
    violations.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => println!("tidy"),
        count => println!("\n{count} violations of the house rules"),
    }
    Ok(violations.is_empty())
}

fn check(workspace: &Workspace) -> Result<Vec<Violation>, Box<dyn Error>> {
    let files = tree::read(&workspace.root)?;
    let mut found = Vec::new();
    for file in &files {
        found.extend(text::check(file));
        found.extend(sizes::check(file));
    }
    let exists = |path: &str| workspace.root.join(path).exists();
    found.extend(links::check(&files, &exists));
    found.extend(errors::check(&files));
    found.extend(papers::check(&files));
    found.extend(papers::check_bans(&files));
    found.extend(papers::check_lock(workspace));
    found.extend(papers::check_built(workspace));
    found.extend(papers::check_ledger(workspace));
    found.extend(papers::check_comparison(workspace));
    found.extend(arrows::check(workspace));
    found.extend(budget::check(workspace)?);
    Ok(found)
}
