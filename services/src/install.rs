//! Programs that are not there are installed on first use: with `apt-get`, or from PyPI into the
//! cache folder.
//!
//! One process at a time installs (a lock on a file), the others wait and then find what it left.
//! Versions are pinned where we choose them.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Error;

/// A folder in the cache, made if it is not there: `~/.cache/factum/services/NAME`.
pub(crate) fn cache_folder(name: &str) -> Result<PathBuf, Error> {
    let variable = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(env::temp_dir);
    let folder = base.join("factum/services").join(name);
    fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
    Ok(folder)
}

/// A program of the distribution, installed if we may.
pub(crate) fn apt(package: &str, find: impl Fn() -> Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(program) = find() {
        return Ok(program);
    }
    let _lock = lock()?;
    if let Some(program) = find() {
        return Ok(program);
    }
    let missing = |cause: String| Error::Missing {
        program: package.to_owned(),
        command: format!("apt-get install -y --no-install-recommends {package}"),
        cause,
    };
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"];
    if !is_root() {
        words.splice(0..0, ["sudo", "-n"]);
    }
    let (program, rest) = words.split_first().expect("there are words");
    let apt_get = || {
        let mut command = Command::new(program);
        command.args(rest);
        command
    };
    run(apt_get().arg("update")).map_err(missing)?;
    run(apt_get().args(["install", "-y", "--no-install-recommends", package])).map_err(missing)?;
    find().ok_or_else(|| missing("it was installed, and is not to be found".to_owned()))
}

/// The folder of the virtual environment that has this package of PyPI (`name==version`) in it.
pub(crate) fn pypi(package: &str) -> Result<PathBuf, Error> {
    let folder = cache_folder("python")?.join(package.replace("==", "-"));
    let done = folder.join("installed");
    if done.is_file() {
        return Ok(folder);
    }
    let _lock = lock()?;
    if done.is_file() {
        return Ok(folder);
    }
    let missing = |cause: String| Error::Missing {
        program: package.to_owned(),
        command: format!("python3 -m venv {0} && {0}/bin/pip install {package}", folder.display()),
        cause,
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).map_err(missing)?;
    let mut pip = Command::new(folder.join("bin/python"));
    if let Err(cause) = run(pip.args(["-m", "pip", "install", "--quiet", package])) {
        // Half an environment is of no use; that it stays is no harm.
        let _ = fs::remove_dir_all(&folder);
        return Err(missing(cause));
    }
    fs::write(&done, "").map_err(Error::io(format!("writing {}", done.display())))?;
    Ok(folder)
}

/// The program of that name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Entries of a folder, the last in order of name first; none where there is no folder.
pub(crate) fn newest_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().rev()
}

/// Whether this process may do everything; servers then take a user of their own.
pub(crate) fn is_root() -> bool {
    id(&["-u"]) == Some(0)
}

/// The number of a user (`-u NAME`) or of its group (`-g NAME`).
pub(crate) fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// One installation at a time on this machine.
fn lock() -> Result<File, Error> {
    let path = cache_folder("")?.join("install.lock");
    let doing = || format!("locking {}", path.display());
    let file = File::create(&path).map_err(Error::io(doing()))?;
    file.lock().map_err(Error::io(doing()))?;
    Ok(file)
}

/// Runs to the end; says so where the test harness does not keep it to itself.
fn run(command: &mut Command) -> Result<(), String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // A wait of a minute that nobody sees looks like a test that hangs; a lost line is no harm.
    let _ = writeln!(io::stderr(), "installing for tests: {shown}");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{shown}: {}: {}", output.status, said.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_installed_names_the_command() {
        let error = pypi("factum-no-such-package==0.0.0").unwrap_err().to_string();
        assert!(error.contains("pip install factum-no-such-package==0.0.0"), "{error}");
    }

    #[test]
    fn what_is_there_is_not_installed() {
        let found = apt("factum-no-such-package", || on_path("sh")).unwrap();
        assert!(found.ends_with("sh"));
    }
}
