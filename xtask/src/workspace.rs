//! What cargo knows about this workspace: its packages, and where things lie.
//!
//! Apart so that gates and rules ask one place, and nobody else reads cargo's JSON.

use std::{
    collections::BTreeSet,
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The workspace that cargo runs in.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder; every command that a gate runs shares it.
    pub(crate) target: PathBuf,
    /// The members, by name.
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) features: Vec<String>,
    pub(crate) bins: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a package's `[dependencies]`, `[dev-dependencies]` or `[build-dependencies]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only tests, examples and benchmarks see it.
    pub(crate) dev: bool,
}

impl Workspace {
    /// Asks `cargo metadata`.
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&capture(&mut command)?)?;
        let mut packages: Vec<Package> = array(&metadata, "packages").map(package).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            root: PathBuf::from(text(&metadata, "workspace_root")),
            target: PathBuf::from(text(&metadata, "target_directory")),
            packages,
        })
    }

    /// The member of that name.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The names of all third-party packages that `package` needs to run, on this platform.
    pub(crate) fn third_party(&self, package: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
        let mut command = cargo();
        command.current_dir(&self.root).args(["tree", "--edges", "normal", "--prefix", "none"]);
        command.args(["--format", "{p}", "--package", package]);
        Ok(third_party_lines(&capture(&mut command)?))
    }
}

/// Lines of `cargo tree` that do not name a path: `name v1.2.3`, or `name v1.2.3 (proc-macro) (*)`.
fn third_party_lines(tree: &str) -> BTreeSet<String> {
    let foreign = |line: &&str| !line.is_empty() && !line.contains("(/") && !line.contains(":\\");
    tree.lines().filter(foreign).filter_map(name_and_version).collect()
}

fn name_and_version(line: &str) -> Option<String> {
    let (name, rest) = line.split_once(' ')?;
    Some(format!("{name} {}", rest.split(' ').next()?))
}

/// The cargo that runs us, free of what it told us about ourselves.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// A program that does not see the variables which `cargo run` made for xtask.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Runs to the end and returns what it printed; its complaints are the error.
pub(crate) fn capture(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{}", output.status, complaint.trim_end()).into())
}

/// The folder for what outlives a build: tools, virtual environments.
pub(crate) fn cache() -> Result<PathBuf, Box<dyn Error>> {
    let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .or_else(|| variable("LOCALAPPDATA").map(PathBuf::from));
    let base = base.ok_or("no cache folder: set XDG_CACHE_HOME, HOME or LOCALAPPDATA")?;
    let folder = base.join("factum");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// `path` below `root`, with forward slashes.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn package(value: &Value) -> Package {
    let features = value.get("features").and_then(Value::as_object);
    Package {
        name: text(value, "name"),
        manifest: PathBuf::from(text(value, "manifest_path")),
        features: features.map(|all| all.keys().cloned().collect()).unwrap_or_default(),
        bins: array(value, "targets").filter(is_bin).map(|bin| text(bin, "name")).collect(),
        dependencies: array(value, "dependencies").map(dependency).collect(),
    }
}

fn is_bin(target: &&Value) -> bool {
    array(target, "kind").any(|kind| kind == "bin")
}

fn dependency(value: &Value) -> Dependency {
    Dependency { name: text(value, "name"), dev: text(value, "kind") == "dev" }
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_package_is_read_from_the_metadata() {
        let json = r#"{
            "name": "factum-log", "manifest_path": "/x/Cargo.toml", "features": {"tier": []},
            "targets": [{"kind": ["lib"], "name": "factum_log"}, {"kind": ["bin"], "name": "look"}],
            "dependencies": [{"name": "bytes", "kind": null}, {"name": "proptest", "kind": "dev"}]
        }"#;
        let package = package(&serde_json::from_str(json).unwrap());
        assert_eq!(package.name, "factum-log");
        assert_eq!(package.features, ["tier"]);
        assert_eq!(package.bins, ["look"]);
        let dev: Vec<bool> = package.dependencies.iter().map(|one| one.dev).collect();
        assert_eq!(dev, [false, true]);
    }

    #[test]
    fn own_packages_and_repetitions_are_not_counted() {
        let tree = "factum-log v0.1.0 (/x/crates/factum-log)\nbytes v1.12.0\n\
                    thiserror v2.0.21\nthiserror-impl v2.0.21 (proc-macro)\nbytes v1.12.0 (*)\n";
        let expect = ["bytes v1.12.0", "thiserror v2.0.21", "thiserror-impl v2.0.21"];
        assert!(third_party_lines(tree).iter().eq(expect));
    }
}
