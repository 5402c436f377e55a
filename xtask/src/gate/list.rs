//! The gates themselves, in the order in which they run: what is quick to tell comes first.
//!
//! To add one, write a function here (or a file beside this one, if it is more than a few lines)
//! and a row in [`GATES`]. A gate whose subject does not exist yet says so by [`Stop::Skipped`].

use super::{Gate, Runner, Stop, examples, interop, planted, real, tools};
use crate::tidy;

/// Every gate.
pub(super) const GATES: &[Gate] = &[
    Gate { name: "fmt", about: "the code is formatted", run: fmt },
    Gate { name: "tidy", about: "the house rules hold", run: house_rules },
    Gate { name: "clippy", about: "no lint fires on any target", run: clippy },
    Gate { name: "features", about: "each package and feature compiles alone", run: features },
    Gate { name: "docs", about: "the documentation builds, and its links resolve", run: docs },
    Gate { name: "tests", about: "unit and integration tests", run: tests },
    Gate { name: "doctests", about: "the examples in the documentation", run: doctests },
    Gate { name: "examples", about: "each example, over every kind of store", run: examples::run },
    Gate { name: "sim", about: "crashes and faults, simulated at the size of a change", run: sim },
    Gate { name: "schedules", about: "threads in orders that a checker draws", run: schedules },
    Gate {
        name: "planted",
        about: "bugs on purpose, each caught by the row that is for it",
        run: planted::run,
    },
    Gate { name: "real", about: "real processes crash on real file systems", run: real::run },
    Gate { name: "fuzz", about: "every decoder on its corpus of odd inputs", run: fuzz },
    Gate { name: "interop", about: "published clients against the real binary", run: interop::run },
    Gate { name: "deny", about: "licences, sources and banned packages", run: deny },
];

/// Workspaces of their own, which `--workspace` does not reach; each may be absent.
const OWN_WORKSPACES: &[&str] = &["fuzz", "interop", "bench", "xtask/protogen"];

fn fmt(runner: &mut Runner) -> Result<(), Stop> {
    tools::component(runner, "fmt", "rustfmt")?;
    runner.execute(runner.cargo(&["fmt", "--all", "--check"]))?;
    for folder in runner.present(OWN_WORKSPACES) {
        runner.execute(runner.cargo_in(folder, &["fmt", "--check"]))?;
    }
    Ok(())
}

fn house_rules(runner: &mut Runner) -> Result<(), Stop> {
    if tidy::report(runner.workspace)? {
        return Ok(());
    }
    Err(Stop::Failed("a house rule is broken, as listed above".to_owned()))
}

fn clippy(runner: &mut Runner) -> Result<(), Stop> {
    tools::component(runner, "clippy", "clippy")?;
    let strict = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    runner.execute(runner.cargo(&strict))?;
    // `bench/` and `interop/` are left out: they would compile other people's stores and clients.
    for folder in runner.present(&["fuzz", "xtask/protogen"]) {
        let strict = ["clippy", "--all-targets", "--", "-D", "warnings"];
        runner.execute(runner.cargo_in(folder, &strict))?;
    }
    Ok(())
}

/// In a build of the whole workspace a package also sees the features that others asked for.
fn features(runner: &mut Runner) -> Result<(), Stop> {
    for package in &runner.workspace.packages {
        let alone = ["check", "--quiet", "--package", &package.name];
        runner.execute(runner.cargo(&alone))?;
        let chosen = package.features.iter().filter(|feature| *feature != "default");
        for feature in chosen.map(String::as_str).chain(bare(&package.features)) {
            let only = ["--no-default-features", "--features", feature];
            runner.execute(runner.cargo(&[&alone[..], &only[..]].concat()))?;
        }
    }
    Ok(())
}

/// One more round without any feature, where leaving out the defaults makes a difference.
fn bare(features: &[String]) -> Option<&'static str> {
    features.iter().any(|feature| feature == "default").then_some("")
}

fn docs(runner: &mut Runner) -> Result<(), Stop> {
    // Only libraries: the command and the facade share a name, and so would share a folder.
    let mut command = runner.cargo(&["doc", "--workspace", "--lib", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    runner.execute(command)
}

fn tests(runner: &mut Runner) -> Result<(), Stop> {
    let kinds = ["--lib", "--bins", "--tests", "--examples"];
    let all = ["test", "--workspace", "--no-fail-fast"];
    runner.execute(runner.cargo(&[&all[..], &kinds[..]].concat()))
}

fn doctests(runner: &mut Runner) -> Result<(), Stop> {
    runner.execute(runner.cargo(&["test", "--workspace", "--no-fail-fast", "--doc"]))
}

fn sim(runner: &mut Runner) -> Result<(), Stop> {
    let Some(package) = runner.workspace.package("factum-sim") else {
        return Err(Stop::Skipped("there is no package factum-sim".to_owned()));
    };
    let mut run = vec!["run", "--release", "--package", "factum-sim", "--bin", "sim-smoke"];
    if !package.bins.iter().any(|bin| bin == "sim-smoke") {
        run = vec!["test", "--release", "--package", "factum-sim"];
    }
    runner.execute(runner.cargo(&run))
}

fn schedules(runner: &mut Runner) -> Result<(), Stop> {
    let run = ["run", "--release", "--package", "factum-sim", "--features", "schedules"];
    runner.execute(runner.cargo(&[&run[..], &["--bin", "sim-schedules"]].concat()))?;
    // The smallest protocols in every order that there is.
    let every = ["test", "--package", "factum-core", "--package", "factum-log", "--lib"];
    let features = ["--features", "factum-core/loom,factum-log/loom", "loom_"];
    runner.execute(runner.cargo(&[&every[..], &features[..]].concat()))
}

fn fuzz(runner: &mut Runner) -> Result<(), Stop> {
    if !runner.has("fuzz") {
        return Err(Stop::Skipped("there is no fuzz/Cargo.toml".to_owned()));
    }
    runner.execute(runner.cargo_in("fuzz", &["test", "--no-fail-fast"]))
}

/// Advisories are left out: they need a database that is fetched from elsewhere.
fn deny(runner: &mut Runner) -> Result<(), Stop> {
    let mut command = tools::cargo_deny(runner)?;
    // Who brought in what is asked for by hand (`cargo tree -i`): here it would fill pages.
    command.args(["--workspace", "check", "--hide-inclusion-graph"]);
    command.args(["bans", "licenses", "sources"]);
    runner.execute(command)
}
