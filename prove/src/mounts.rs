//! File systems of our own, mounted for a while.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Bytes of a file system in a file.
const IMAGE_BYTES: u64 = 64 << 20;

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    let told = || format!("{program} {}: {}", arguments.join(" "), why.trim());
    if output.status.success() { Ok(()) } else { Err(told()) }
}

/// Why no file system can be mounted here.
pub(crate) fn are_missing() -> Option<String> {
    match Mount::memory(1 << 20) {
        Ok(_) => None,
        Err(why) => Some(format!("no file system can be mounted (are you root?): {why}")),
    }
}

/// Why no file system in a file can be.
pub(crate) fn images_are_missing() -> Option<String> {
    are_missing().or_else(|| Image::new().and_then(|image| image.mount().map(drop)).err())
}

/// A mounted file system; let go, it is unmounted.
#[derive(Debug)]
pub(crate) struct Mount {
    folder: TempDir,
}

impl Mount {
    fn new(arguments: &[&str]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().display().to_string();
        run("mount", &[arguments, &[path.as_str()]].concat())?;
        Ok(Self { folder })
    }

    /// One in memory that holds so many bytes.
    pub(crate) fn memory(bytes: u64) -> Result<Self, String> {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "factum-prove"])
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let path = self.path().display().to_string();
        // Whoever still holds a file keeps it: it goes when they do.
        if run("umount", &[&path]).is_err() {
            let _ = run("umount", &["--lazy", &path]);
        }
    }
}

/// An ext4 in a file, to be mounted again and again.
#[derive(Debug)]
pub(crate) struct Image {
    folder: TempDir,
}

impl Image {
    pub(crate) fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = Self { folder };
        let file = std::fs::File::create(image.path()).map_err(|error| error.to_string())?;
        file.set_len(IMAGE_BYTES).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", &image.path().display().to_string()])?;
        Ok(image)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ext4")
    }

    pub(crate) fn mount(&self) -> Result<Mount, String> {
        Mount::new(&["-t", "ext4", "-o", "loop", &self.path().display().to_string()])
    }
}
