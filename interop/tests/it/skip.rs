//! How a test says that it was skipped: a line in the file that `FACTUM_SKIPS` names.

use std::{fs::OpenOptions, io::Write};

/// Says so, on stderr and in the file.
pub(crate) fn skipped(name: &str, reason: &str) {
    eprintln!("SKIPPED: {name}: {reason}");
    let Some(path) = std::env::var_os("FACTUM_SKIPS") else { return };
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(format!("{name}: {reason}\n").as_bytes()).unwrap();
}
