//! The files that rules look at: the text files of the work tree, also those not yet committed.
//!
//! Apart so that rules are functions of file contents, and tests of them need no disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::workspace::relative;

/// What is looked at, by the end of the name.
const ENDINGS: &[&str] = &["rs", "md", "toml", "proto", "sh", "py", "yml", "yaml"];

/// Folders that hold nothing of ours.
const FOREIGN: &[&str] = &["target", "node_modules", "__pycache__", "factum-data"];

/// A text file, its path relative to the root, with forward slashes.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// Its name ends so.
    pub(super) fn ends(&self, ending: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, end)| end == ending)
    }

    /// Written by a program: nobody reads it, so sizes and headers do not matter.
    pub(super) fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// Holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

/// Every file below the root, in order of path.
pub(super) fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    let mut files = Vec::new();
    for path in paths {
        let bytes = fs::read(&path)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        files.push(File { path: relative(root, &path), text });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && is_ours(&path, &name) {
            collect(&path, paths)?;
        } else if kind.is_file() && (is_text(&name) || path.ends_with(".ci/run")) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Not a hidden folder, and no cache (a target folder of another name marks itself as one).
fn is_ours(path: &Path, name: &str) -> bool {
    let hidden = name.starts_with('.') && !matches!(name, ".ci" | ".cargo" | ".config");
    // A module may be called `target` too.
    let module = path.parent().is_some_and(|parent| parent.ends_with("src"));
    !hidden && (module || !FOREIGN.contains(&name)) && !path.join("CACHEDIR.TAG").exists()
}

fn is_text(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

#[cfg(test)]
pub(super) fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_our_own_text_files_are_read() {
        let root = tempfile::tempdir().unwrap();
        let module = "src/target/f.rs";
        let others = ["src/a.rs", ".ci/run", "target/b.rs", ".git/c.md", "other/d.rs", "e.bin"];
        for path in others.into_iter().chain([module]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fs::write(root.path().join("other/CACHEDIR.TAG"), "").unwrap();
        let files = read(root.path()).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".ci/run", "src/a.rs", module]);
    }
}
