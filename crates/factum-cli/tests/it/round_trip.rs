//! What is exported and imported is the same: JSON lines and CloudEvents, all that an event has.

use super::support::{Place, lines};
use serde_json::Value;

/// A store with everything that is hard to carry.
fn full() -> Place {
    let place = Place::new();
    let append = |args: &[&str], input: &[u8]| {
        let args: Vec<&str> = ["append"].iter().chain(args).copied().collect();
        place.run_with(&args, input).ok();
    };
    let data = "{\"n\": 1.10, \"big\": 12345678901234567890, \"ü\": \"\\u0000\\n\"}";
    append(&["order-1", "--type", "placed", "--data", data, "--metadata", "{\"by\": \"ü\"}"], b"");
    append(&["order-2", "--type", "t", "--tag", "a:b", "--tag", "c \"d\""], b"");
    append(&["order-1", "--type", "bytes", "--data", "-", "--binary"], &[0, 159, 255]);
    append(&["order-1", "--type", "empty", "--data", "-", "--binary"], b"");
    append(&["order-1", "--type", "t", "--data", "null", "--metadata", "null"], b"");
    // The order of the store is not the order of their own time.
    append(&["order-1", "--type", "late", "--occurred-at", "1999-01-01T00:00:00.000000001Z"], b"");
    append(&["order-1", "--type", "t", "--data", "[\"same\"]"], b"");
    append(&["order-1", "--type", "t", "--data", "[\"same\"]"], b"");
    place
}

/// Events but for what the other store gives them.
fn said(place: &Place) -> Vec<Value> {
    let mut events = lines(&place.run(&["export"]).ok());
    for event in &mut events {
        event.as_object_mut().unwrap().remove("recordedAt");
    }
    events
}

#[test]
fn json_lines_carry_everything() {
    let from = full();
    let to = Place::new();
    to.write("log.jsonl", from.run(&["export"]).ok());
    assert_eq!(to.run(&["import", "log.jsonl"]).ok(), "8 new, 0 already there\n");
    assert_eq!(said(&to), said(&from));
    assert_eq!(to.run(&["import", "log.jsonl"]).ok(), "0 new, 8 already there\n");
}

#[test]
fn cloudevents_carry_everything() {
    let from = full();
    let to = Place::new();
    let events = from.run(&["export", "--format", "cloudevents", "--source", "/shop"]).ok();
    assert!(events.lines().all(|line| line.contains("\"source\":\"/shop\"")));
    to.write("log.cloudevents", &events);
    assert_eq!(to.run(&["import", "log.cloudevents"]).ok(), "8 new, 0 already there\n");
    assert_eq!(said(&to), said(&from));
    let array = format!("[{}]", events.trim().replace('\n', ","));
    to.write("batch.json", array);
    let again = to.run(&["import", "batch.json", "--format", "cloudevents"]).ok();
    assert_eq!(again, "0 new, 8 already there\n");
}

#[test]
fn an_export_is_what_is_selected_without_the_stores_own_events() {
    let place = full();
    place.run(&["meta", "order-2", "--set", "{\"a\":1}"]).ok();
    let count = |args: &str| {
        let args: Vec<&str> = args.split(' ').collect();
        place.run(&args).ok().lines().count()
    };
    assert_eq!(count("export"), 8);
    assert_eq!(count("export --system"), 9);
    assert_eq!(count("export order-2"), 1);
    assert_eq!(count("export --type late"), 1);
    assert_eq!(count("export --as-of 2"), 2);
    assert_eq!(place.run(&["export", "nothing"]).code, 4);
}

#[test]
fn exported_events_can_go_to_other_streams() {
    let from = full();
    let to = Place::new();
    to.write("log.jsonl", from.run(&["export", "order-2"]).ok());
    to.run(&["import", "log.jsonl", "--stream", "copy-of-{stream}"]).ok();
    assert_eq!(to.events(&["copy-of-order-2"]).len(), 1);
}
