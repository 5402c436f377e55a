//! Rules about what a crate may cost: how many third-party packages it brings, and which never.
//!
//! Counted as cargo resolves them for this platform and for use, not for tests. Ours do not count.

use std::{collections::BTreeSet, error::Error};

use super::{Rule, Violation};
use crate::workspace::{Workspace, relative};

static BUDGET: Rule = Rule {
    name: "package budget",
    reason: "who embeds the store compiles, trusts and updates every package that it brings along",
};
static NEVER: Rule = Rule {
    name: "no runtime",
    reason: "the core and the engine are synchronous, so that they run in any process and in a \
             simulation",
};

/// Crates that are counted together, and how many packages they may bring.
const BUDGETS: &[(&[&str], usize)] =
    &[(&["factum-log"], 12), (&["factum-core", "factum-app", "factum-macros"], 40)];

/// Crates and the packages that they never bring, at any depth.
const NEVER_BRINGS: &[(&str, &[&str])] =
    &[("factum-core", &["tokio", "tonic", "hyper"]), ("factum-log", &["tokio", "tonic", "hyper"])];

/// Asks cargo for each of these crates that exists.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Violation>, Box<dyn Error>> {
    let mut found = Vec::new();
    for (names, limit) in BUDGETS {
        let mut all = BTreeSet::new();
        for name in names.iter().filter(|name| workspace.package(name).is_some()) {
            all.extend(workspace.third_party(name)?);
        }
        let name = names.first().unwrap_or(&"");
        found.extend(over(&all, *limit).map(|what| at(workspace, name, &BUDGET, what)));
    }
    for (name, never) in NEVER_BRINGS {
        if workspace.package(name).is_none() {
            continue;
        }
        let what = forbidden(&workspace.third_party(name)?, never);
        found.extend(what.into_iter().map(|what| at(workspace, name, &NEVER, what)));
    }
    Ok(found)
}

fn at(workspace: &Workspace, name: &str, rule: &'static Rule, found: String) -> Violation {
    let manifest = workspace.package(name).map(|one| relative(&workspace.root, &one.manifest));
    let path = manifest.unwrap_or_else(|| "Cargo.toml".to_owned());
    Violation { path, line: 1, rule, found }
}

fn over(packages: &BTreeSet<String>, limit: usize) -> Option<String> {
    let count = packages.len();
    let names = packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    (count > limit).then(|| format!("{count} third-party packages, {limit} at most: {names}"))
}

fn forbidden(packages: &BTreeSet<String>, never: &[&str]) -> Vec<String> {
    let name = |package: &String| package.split(' ').next().unwrap_or_default().to_owned();
    let names = packages.iter().map(name).filter(|name| never.contains(&name.as_str()));
    names.map(|name| format!("brings {name}, which it never may")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_budget_is_kept_at_the_limit_and_broken_above() {
        let two = packages(&["bytes v1.12.0", "uuid v1.29.0"]);
        assert_eq!(over(&two, 2), None);
        assert!(over(&two, 1).is_some_and(|what| what.contains("uuid")));
    }

    #[test]
    fn a_runtime_is_found_by_its_whole_name() {
        let brought = packages(&["tokio v1.54.0", "tokio-stream v0.1.19", "bytes v1.12.0"]);
        assert_eq!(forbidden(&brought, &["tokio", "tonic"]).len(), 1);
        assert!(forbidden(&packages(&["tokio-stream v0.1.19"]), &["tokio"]).is_empty());
    }
}
