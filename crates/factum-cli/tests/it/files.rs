//! Folders that a store cannot use.

use super::support::Place;

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let dir = place.path("closed");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(dir.join("probe"), "").is_ok() {
        println!(
            "SKIPPED: a_folder_that_may_not_be_written_is_named: this user may write anywhere"
        );
        return;
    }
    place
        .run(&["--at", "file:./closed", "append", "a", "--type", "t"])
        .fails(7, &["closed", "a store must be able to write there"]);
}
