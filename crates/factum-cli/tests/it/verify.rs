//! `factum verify` on real folders: whole, damaged, held by a server, and not there.

use super::support::{Place, lines};

const SEGMENT: &str = "data/00000000000000000001.log";

fn three(place: &Place) {
    for data in ["1", "2", "\"3\""] {
        place.append("a-1", "t", data);
    }
}

#[test]
fn a_whole_store_is_whole_and_damage_ends_with_seven() {
    let place = Place::new();
    three(&place);
    let said = place.run(&["verify"]).ok();
    assert!(said.starts_with("3 events up to position 3 in 1 segments, "), "{said}");
    assert!(said.trim_end().ends_with(": whole"), "{said}");

    let mut bytes = std::fs::read(place.path(SEGMENT)).unwrap();
    let at = bytes.windows(3).position(|data| data == b"\"3\"").unwrap();
    bytes[at] ^= 1;
    place.write(SEGMENT, bytes);
    let ran = place.run(&["verify"]);
    assert!(ran.out.contains("damage    ") && ran.out.contains(": damaged"), "{ran:?}");
    assert!(ran.out.contains("00000000000000000001.log at offset 4"), "{ran:?}");
    ran.fails(7, &["1 findings of damage to the log", "help: restore the folder"]);
    let json = place.run(&["verify", "--json"]);
    assert_eq!(json.code, 7);
    let report = lines(&json.out).remove(0);
    assert_eq!(report["damaged"], true);
    assert_eq!(report["findings"][0]["severity"], "damage");
    assert!(report["findings"][0]["lost"]["from"] == 3, "{report}");
}

#[test]
fn what_cannot_be_verified_says_why() {
    let mut place = Place::new();
    place.run(&["verify"]).fails(4, &["there is no store in ./data"]);
    std::fs::create_dir(place.path("data")).unwrap();
    place.run(&["verify"]).fails(4, &["there is no store in ./data"]);
    assert_eq!(std::fs::read_dir(place.path("data")).unwrap().count(), 0, "nothing is made");
    three(&place);
    let server = place.serve();
    let in_use = place.run(&["--at", "file:./data", "verify"]);
    in_use.fails(7, &["in use by another process", &server.url]);
}

#[test]
fn a_folder_of_copies_without_a_lock_is_verified_and_left_as_it_is() {
    let place = Place::new();
    three(&place);
    std::fs::remove_file(place.path("data/LOCK")).unwrap();
    place.run(&["verify"]).ok();
    assert!(!place.path("data/LOCK").exists());
}
