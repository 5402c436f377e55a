//! The rule about which crate may use which: the map of the house, in one table.
//!
//! Only direct dependencies are looked at; where each crate keeps its arrows, so does the whole.
//! Tests may use more (`[dev-dependencies]`), but a published crate never the simulation.

use super::{Rule, Violation};
use crate::workspace::{Dependency, Package, Workspace, relative};

static ARROWS: Rule = Rule {
    name: "crate arrows",
    reason: "the map of crates says which may use which; see the table in xtask/src/tidy/arrows.rs",
};
static LINTS: Rule = Rule {
    name: "lints",
    reason: "every crate has `[lints]` with `workspace = true`: no crate has rules of its own",
};

/// Each published crate and which of ours it may use.
const MAP: &[(&str, &[&str])] = &[
    ("factum-core", &[]),
    ("factum-log", &["factum-core"]),
    ("factum-app", &["factum-core", "factum-macros"]),
    ("factum-macros", &[]),
    ("factum-testkit", &["factum-core", "factum-app"]),
    ("factum-proto", &[]),
    ("factum-client", &["factum-core", "factum-proto"]),
    ("factum-tier", &["factum-core", "factum-log"]),
    ("factum-server", &["factum-core", "factum-log", "factum-proto"]),
    ("factum", &["factum-core", "factum-app", "factum-macros", "factum-log", "factum-client"]),
    ("factum-cli", &["factum", "factum-server", "factum-log", "factum-tier"]),
];

/// One crate a foreign system, and what each may use; the facade may use them all.
const ADAPTERS: &[&str] = &[
    "factum-sqlite",
    "factum-postgres",
    "factum-nats",
    "factum-kafka",
    "factum-rabbitmq",
    "factum-aws",
    "factum-amqp1",
];
const ADAPTER_MAY_USE: &[&str] = &["factum-core", "factum-app"];

/// Not published: may use whatever they like, and nobody uses them, but tests the servers.
const UNPUBLISHED: &[&str] =
    &["factum-prove", "factum-services", "factum-sim", "observed", "shop-services", "xtask"];

/// Starts real servers for whoever's tests want one.
const SERVICES: &str = "factum-services";

/// All arrows between members of this workspace.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let manifest = std::fs::read_to_string(&package.manifest).unwrap_or_default();
        let path = relative(&workspace.root, &package.manifest);
        for (name, what) in wrong(package) {
            let line = line_of(&manifest, &name);
            found.push(Violation { path: path.clone(), line, rule: &ARROWS, found: what });
        }
        if !takes_lints(&manifest) {
            let what = format!("{} does not take the lints of the workspace", package.name);
            found.push(Violation { path, line: 1, rule: &LINTS, found: what });
        }
    }
    found
}

/// The wrong dependencies of a package, by name, and what is wrong with each.
fn wrong(package: &Package) -> Vec<(String, String)> {
    let user = package.name.as_str();
    if UNPUBLISHED.contains(&user) {
        return Vec::new();
    }
    let Some(allowed) = allowed(user) else {
        return vec![("name".to_owned(), format!("{user} is not on the map"))];
    };
    let is_wrong = |used: &&Dependency| is_ours(&used.name) && !may_use(&allowed, used);
    let describe = |used: &Dependency| {
        let tests = if used.dev { ", not even in its tests" } else { "" };
        (used.name.clone(), format!("{user} may not use {}{tests}", used.name))
    };
    package.dependencies.iter().filter(is_wrong).map(describe).collect()
}

fn allowed(user: &str) -> Option<Vec<&'static str>> {
    if ADAPTERS.contains(&user) {
        return Some(ADAPTER_MAY_USE.to_vec());
    }
    let (_, allowed) = MAP.iter().find(|(name, _)| *name == user)?;
    let adapters = if user == "factum" { ADAPTERS } else { &[] };
    Some([allowed, adapters].concat())
}

fn may_use(allowed: &[&str], used: &Dependency) -> bool {
    let for_tests = used.name == SERVICES || !UNPUBLISHED.contains(&used.name.as_str());
    (used.dev && for_tests) || allowed.contains(&used.name.as_str())
}

fn is_ours(name: &str) -> bool {
    name == "factum" || name.starts_with("factum-") || UNPUBLISHED.contains(&name)
}

/// The line of a manifest that names this dependency.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    manifest.lines().position(names).map_or(1, |at| at + 1)
}

fn takes_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_arrow(user: &str, used: &str, dev: bool, right: bool) {
        let dependencies = vec![Dependency { name: used.to_owned(), dev }];
        let package = Package { name: user.to_owned(), dependencies, ..Package::default() };
        assert_eq!(wrong(&package).is_empty(), right, "{user} -> {used}, dev: {dev}");
    }

    #[test]
    fn arrows_of_the_map_are_right() {
        check_arrow("factum-log", "factum-core", false, true);
        check_arrow("factum-log", "bytes", false, true);
        check_arrow("factum-server", "factum-proto", false, true);
        check_arrow("factum-cli", "factum-server", false, true);
        check_arrow("factum", "factum-sqlite", false, true);
        check_arrow("factum-sim", "factum-log", false, true);
    }

    #[test]
    fn all_others_are_wrong() {
        check_arrow("factum-core", "factum-log", false, false);
        check_arrow("factum-log", "factum-app", false, false);
        check_arrow("factum-log", "factum-sim", false, false);
        check_arrow("factum-app", "factum-server", false, false);
        check_arrow("factum-app", "factum-sqlite", false, false);
        check_arrow("factum-sqlite", "factum-postgres", false, false);
        check_arrow("factum-client", "factum-server", false, false);
        check_arrow("factum-cli", "factum-core", false, false);
        check_arrow("factum-client", "xtask", false, false);
        check_arrow("factum-log", "factum", false, false);
    }

    #[test]
    fn tests_may_use_anything_but_the_unpublished() {
        check_arrow("factum-client", "factum-server", true, true);
        check_arrow("factum-log", "factum-testkit", true, true);
        check_arrow("factum-log", "factum-sim", true, false);
        check_arrow("factum-sqlite", "factum-services", true, true);
        check_arrow("factum-sqlite", "factum-services", false, false);
    }

    #[test]
    fn a_crate_that_is_not_on_the_map_is_found() {
        let package = Package { name: "factum-new".to_owned(), ..Package::default() };
        assert_eq!(wrong(&package).len(), 1);
    }

    #[test]
    fn the_line_of_a_dependency_is_found() {
        let manifest = "[dependencies]\nfactum-core-x = \"1\"\nfactum-core = { path = \"x\" }\n";
        assert_eq!(line_of(manifest, "factum-core"), 3);
        assert_eq!(line_of("a\nfactum.workspace = true\n", "factum"), 2);
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        assert!(takes_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_lints("[package]\n[lints]\n[dependencies]\n"));
        assert!(!takes_lints("[package]\n"));
    }
}
