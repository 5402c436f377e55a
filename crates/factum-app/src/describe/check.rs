//! The check that an application's tests make: a document that is checked in says what the code
//! says.

use std::{env, fs, io::ErrorKind, path::Path};

/// The environment variable that has documents written: `FACTUM_DESCRIBE=update`.
pub const UPDATE: &str = "FACTUM_DESCRIBE";

/// Checks a document that is checked in, as a test of the application; relative to the package's
/// folder. With `FACTUM_DESCRIBE=update` in the environment it is written.
///
/// ```no_run
/// # let builder = factum_app::App::builder(factum_app::MemoryStore::new());
/// factum_app::describe::check("docs/shop.mmd", &builder.describe().mermaid());
/// ```
///
/// # Panics
///
/// It says something else, is not there, or cannot be read or written: with what to do.
#[track_caller]
pub fn check(path: impl AsRef<Path>, text: &str) {
    let update = env::var(UPDATE).is_ok_and(|value| value == "update");
    if let Err(why) = verify(path.as_ref(), text, update) {
        panic!("{why}");
    }
}

fn verify(path: &Path, text: &str, update: bool) -> Result<(), String> {
    let shown = path.display();
    let found = match fs::read_to_string(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    if found.as_deref() == Some(text) {
        return Ok(());
    }
    if update {
        return fs::write(path, text).map_err(|error| format!("{shown}: {error}"));
    }
    let wrong = match &found {
        None => "does not exist".to_owned(),
        Some(found) => {
            let differs = found.lines().zip(text.lines()).take_while(|(a, b)| a == b).count() + 1;
            format!("is out of date (from line {differs} on)")
        }
    };
    Err(format!("{shown} {wrong}: `{UPDATE}=update cargo test` writes it; then check it in"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_missing_written_right_and_out_of_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mmd");
        let error = verify(&path, "a\nb\n", false).unwrap_err();
        assert!(error.contains("does not exist") && error.contains(UPDATE), "{error}");
        verify(&path, "a\nb\n", true).unwrap();
        verify(&path, "a\nb\n", false).unwrap();
        let error = verify(&path, "a\nc\n", false).unwrap_err();
        assert!(error.contains("out of date (from line 2 on)"), "{error}");
        let error = verify(folder.path(), "a", false).unwrap_err();
        assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
    }
}
