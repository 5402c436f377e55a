//! `factum events check`: two lock files, and a lock file with a store.

use super::support::Place;

const LOCK: &str = r#"{
  "about": "",
  "format": 1,
  "events": [
    {
      "type": "order.placed", "version": 1, "current": true, "tags": ["order"],
      "stream": "order-{order}",
      "schema": {
        "type": "object",
        "properties": { "order": { "type": "integer" }, "total": { "type": "integer" } },
        "required": ["order", "total"]
      }
    }
  ]
}"#;

#[test]
fn two_lock_files_are_compared() {
    let place = Place::new();
    let check = || place.run(&["events", "check", "new.lock", "--against", "old.lock"]);
    place.write("old.lock", LOCK);
    place.write("new.lock", LOCK);
    assert!(check().ok().contains("new.lock keeps all 1 shapes of old.lock"));
    place.write("new.lock", LOCK.replace("\"total\"", "\"sum\""));
    check().fails(3, &["order.placed version 1", "`total` is gone", "`sum` is new", "safe: "]);
    place.write("new.lock", LOCK.replace("\"version\": 1", "\"version\": 2"));
    check().fails(3, &["order.placed version 1: is gone", "type Old", "help: "]);
}

#[test]
fn a_store_holds_only_what_is_known() {
    let place = Place::new();
    place.write("events.lock", LOCK);
    let check = || place.run(&["events", "check", "events.lock", "--store"]);
    check().fails(4, &["no store"]);
    place.append("order-1", "order.placed", "{}");
    place.append("order-1", "order.placed", "{}");
    assert!(check().ok().contains("2 events, each of a type and version"));
    place.append("order-1", "order.placed.v2", "{}");
    place.append("order-1", "order.sent", "{}");
    place.append("order-1", "order.sent", "{}");
    check().fails(
        3,
        &[
            "order.placed version 2: 1 event, the first at position 3",
            "order.sent version 1: 2 events, the first at position 4",
            "help: ",
        ],
    );
}

#[test]
fn bad_input_is_named_with_a_cure() {
    let place = Place::new();
    place.write("events.lock", &LOCK[..40]);
    let check = ["events", "check", "events.lock", "--store"];
    place.run(&check).fails(6, &["events.lock is damaged", "help: take it"]);
    place.write("events.lock", format!("<<<<<<< ours\n{LOCK}"));
    place.run(&check).fails(6, &["line 1 is a mark of a merge", "help: keep the entries"]);
    place.run(&["events", "check", "no.lock", "--store"]).fails(6, &["there is no no.lock"]);
    place.run(&["events", "check", "events.lock"]).fails(2, &["--against", "--store"]);
}
