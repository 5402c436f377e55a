//! The check that an application's tests make.

use super::{Lock, LockError, compare, finding::Findings, sampled};
use crate::registry::EventSets;
use std::path::Path;

/// The environment variable that has the file written: `FACTUM_LOCK=update`.
pub const UPDATE: &str = "FACTUM_LOCK";

/// Whether the file was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It said so already.
    Unchanged,
    /// What is new was written.
    Updated,
}

/// Checks the events of these sets against a lock file, as a test of the application; relative to
/// the package's folder. With `FACTUM_LOCK=update` in the environment it writes what is new.
///
/// # Panics
///
/// The code and the file disagree, or the file is damaged: with what to do, see [`LockError`].
#[track_caller]
pub fn check<S: EventSets>(path: impl AsRef<Path>) {
    let update = std::env::var(UPDATE).is_ok_and(|value| value == "update");
    if let Err(error) = verify::<S>(path.as_ref(), update) {
        panic!("{error}");
    }
}

/// The same as a value; `update` writes what is new and safe.
///
/// # Errors
///
/// A change that would make old facts unreadable; a file that is damaged, or not there; without
/// `update`, shapes that it does not know.
pub fn verify<S: EventSets>(path: &Path, update: bool) -> Result<Written, LockError> {
    let mut code = Lock::of(&S::members());
    let released = match Lock::read(path) {
        Err(LockError::Missing { .. }) if update => Lock::with(Vec::new()),
        read => read?,
    };
    let shown = path.display().to_string();
    let mut findings = compare(&released, &code);
    // What a shape tells is told by its samples too.
    let mut unread = sampled::unread::<S>(&released);
    unread.extend(sampled::keep::<S>(&released, &mut code));
    unread.retain(|one| !one.is_in(&findings));
    findings.extend(unread);
    if !findings.is_empty() {
        return Err(LockError::Breaking { path: shown, findings: Findings(findings) });
    }
    let is_new =
        |shape: &&super::Shape| released.shape(&shape.event_type, shape.version) != Some(*shape);
    let new: Vec<String> = code.events.iter().filter(is_new).map(super::Shape::name).collect();
    if new.is_empty() && (!update || path.exists()) {
        return Ok(Written::Unchanged);
    }
    if !update {
        return Err(LockError::Outdated { path: shown, new });
    }
    write(path, &code.text()).map_err(|source| LockError::Io { path: shown, source })?;
    Ok(Written::Updated)
}

/// All of it or nothing.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("lock.{}", std::process::id()));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
