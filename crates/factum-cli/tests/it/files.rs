//! Folders that a store cannot use.

use super::support::Place;

#[test]
fn a_damaged_store_is_read_and_not_written() {
    let mut place = Place::new();
    (0..3).for_each(|n| place.append("a-1", "t", &format!("{{\"n\":{n}}}")));
    let log = place.path("data/00000000000000000001.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(7).position(|window| window == b"{\"n\":1}").unwrap();
    bytes[at + 5] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let help = "\nhelp: restore the folder from a backup, or see with `factum quarantine` what is \
                lost; until then what is whole can be read, with `factum read --all` or `factum \
                export`, up to what is damaged\n";
    let says = ["00000000000000000001.log", "offset", help];
    place.run(&["append", "a-1", "--type", "t"]).fails(7, &says);
    place.run(&["append", "a-1", "--type", "t"]).fails(7, &["position 2 cannot be read\n"]);
    place.run(&["read", "a-1"]).fails(7, &says);
    place.run(&["export"]).fails(7, &says);
    let server = place.serve();
    place.run(&["append", "a-1", "--type", "t"]).fails(7, &says);
    place.run(&["read", "--all"]).fails(7, &says);
    drop(server);
    place.at = "file:./data".to_owned();
    let healthy = place.run(&["read", "--all", "--limit", "1"]).ok();
    assert!(healthy.contains("{\"n\":0}"), "{healthy}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    place.write("file", "");
    place.run(&["--at", "file:./file/data", "append", "a", "--type", "t"]).fails(7, &["file/data"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let dir = place.path("closed");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(dir.join("probe"), "").is_ok() {
        let name = "a_folder_that_may_not_be_written_is_named";
        super::support::skipped(name, "this user may write anywhere");
        return;
    }
    place
        .run(&["--at", "file:./closed", "append", "a", "--type", "t"])
        .fails(7, &["closed", "a store must be able to write there"]);
}
