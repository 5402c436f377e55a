//! `factum erase` on a folder and on a server's store.

use super::support::{Place, lines};

#[test]
fn an_event_is_erased_in_a_folder_and_over_a_server() {
    let mut place = Place::new();
    for n in 0..3 {
        place.append("a-1", "thing.happened", &format!("\"secret-{n}\""));
    }
    let said = place.run(&["erase", "a-1", "0", "--reason", "asked for"]).ok();
    assert!(said.starts_with("erased the event at position 1; backups"), "{said}");
    let again = place.run(&["erase", "a-1", "0", "--reason", "asked for"]).ok();
    assert!(again.contains("was erased before"), "{again}");
    place.run(&["erase", "a-1", "9", "--reason", "x"]).fails(4, &["no event of revision 9"]);
    place.run(&["erase", "a-1", "1", "--reason", ""]).fails(2, &["the reason has 0 bytes"]);
    place.run(&["erase", "a-1", "1"]).fails(2, &["--reason"]);
    place.run(&["--at", "memory:", "erase", "a-1", "1", "--reason", "x"]).fails(2, &["memory:"]);
    let server = place.serve();
    let json = place.run(&["erase", "a-1", "1", "--reason", "x", "--by", "jo", "--json"]).ok();
    assert_eq!(lines(&json), [serde_json::json!({"position": 2, "already": false})]);
    place.run(&["erase", "a-1", "9", "--reason", "x"]).fails(4, &["no event of revision 9"]);
    let events = place.events(&["a-1"]);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["$erased", "$erased", "thing.happened"]);
    assert_eq!(place.events(&["$erasures"]).len(), 2);
    assert_eq!(events[2]["data"], "secret-2");
    let name = |file: std::fs::DirEntry| std::fs::read(file.path()).unwrap();
    let files = std::fs::read_dir(place.path("data")).unwrap().map(|file| name(file.unwrap()));
    for bytes in files {
        assert!(!bytes.windows(8).any(|part| part == b"secret-0" || part == b"secret-1"));
    }
    drop(server);
}
