//! What each command prints, and what it leaves in the store.

use super::support::{Place, lines, member};
use serde_json::{Value, json};

#[test]
fn an_append_prints_its_receipt() {
    let place = Place::new();
    let id = "6b4e2e3a-7d0f-4a6a-9b1e-0a4b6c8d0e2f";
    let args = ["append", "order-1", "--type", "order.placed", "--id", id];
    assert_eq!(place.run(&args).ok(), format!("order-1@0  position 1  id {id}\n"));
    let again = place.run(&args).ok();
    assert!(again.contains("position 1") && again.contains("it was there already"), "{again}");
    let json = place.run(&["append", "order-1", "--type", "order.paid", "--json"]).ok();
    let receipt: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (receipt["lastRevision"].as_u64(), receipt["position"].as_u64()),
        (Some(1), Some(2))
    );
    assert_eq!(receipt["replayed"], false);
}

#[test]
fn everything_that_is_appended_is_read() {
    let place = Place::new();
    let data = "{\"total\": 12.50}";
    place
        .run(&[
            "append",
            "order-1",
            "--type",
            "order.placed",
            "--data",
            data,
            "--metadata",
            "{\"by\":\"me\"}",
            "--tag",
            "customer:7",
            "--tag",
            "vip",
            "--occurred-at",
            "2024-05-31T12:00:00+02:00",
        ])
        .ok();
    let line = place.run(&["read", "order-1", "--json"]).ok();
    let (before_last, _) = line.rsplit_once("\":").unwrap();
    let keys = before_last.split("\":").map(|part| part.rsplit_once('"').unwrap().1);
    let keys: Vec<&str> = keys.collect();
    let expected = [
        "stream",
        "revision",
        "position",
        "id",
        "type",
        "data",
        "total",
        "metadata",
        "by",
        "tags",
        "recordedAt",
        "occurredAt",
    ];
    assert_eq!(keys, expected, "{line}");
    assert!(line.contains(r#""data":{"total":12.50},"metadata":{"by":"me"}"#), "{line}");
    let event = &lines(&line)[0];
    assert_eq!(event["tags"], json!(["customer:7", "vip"]));
    assert_eq!(event["occurredAt"], "2024-05-31T10:00:00Z");
    let human = place.run(&["read", "order-1"]).ok();
    assert_eq!(
        human,
        "1  2024-05-31 10:00:00Z  order-1@0  order.placed  {\"total\":12.50} #customer:7 #vip\n"
    );
}

#[test]
fn data_comes_from_a_file_or_from_standard_input_or_is_bytes() {
    let place = Place::new();
    place.write("event.json", "{\"from\":\"file\"}");
    place.run(&["append", "a", "--type", "t", "--data", "@event.json"]).ok();
    place.run_with(&["append", "a", "--type", "t", "--data", "-"], b"{\"from\":\"stdin\"}").ok();
    place.run_with(&["append", "a", "--type", "t", "--data", "-", "--binary"], &[0, 255]).ok();
    place.run(&["append", "a", "--type", "t"]).ok();
    let events = place.events(&["a"]);
    assert_eq!(events[0]["data"]["from"], "file");
    assert_eq!(events[1]["data"]["from"], "stdin");
    assert_eq!((&events[2]["dataBase64"], &events[2]["data"]), (&json!("AP8="), &Value::Null));
    assert_eq!(events[3]["data"], json!({}));
    assert!(place.run(&["read", "a"]).ok().contains("(2 bytes)"));
}

#[test]
fn a_deleted_stream_is_gone_and_goes_on() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    assert_eq!(
        place.run(&["delete", "a-1"]).ok(),
        "a-1 is deleted; the next append lets it go on\n"
    );
    place.run(&["read", "a-1"]).fails(4, &["stream a-1 is deleted", "help: "]);
    assert_eq!(place.run(&["delete", "a-1"]).ok(), "a-1 was deleted already\n");
    place.append("a-1", "again", "{}");
    assert_eq!(member(&place.events(&["a-1"]), "revision"), ["1"]);
    assert_eq!(place.run(&["delete", "a-1", "--tombstone"]).ok(), "a-1 is deleted for ever\n");
    place.run(&["append", "a-1", "--type", "t"]).fails(4, &["tombstoned", "use another name"]);
    place.run(&["read", "a-1"]).fails(4, &["deleted for ever"]);
    place.run(&["tail", "a-1"]).fails(4, &["nothing will come"]);
}

#[test]
fn metadata_is_shown_and_replaced() {
    let place = Place::new();
    (0..3).for_each(|_| place.append("a-1", "t", "{}"));
    assert_eq!(place.run(&["meta", "a-1"]).ok(), "{}\n");
    let set = "{\"$maxCount\": 2, \"owner\": \"billing\"}";
    let shown = "{\"$maxCount\":2,\"owner\":\"billing\"}\n";
    assert_eq!(place.run(&["meta", "a-1", "--set", set]).ok(), shown);
    assert_eq!(place.run(&["meta", "a-1"]).ok(), shown);
    assert_eq!(member(&place.events(&["a-1"]), "revision"), ["1", "2"]);
    place.run(&["meta", "a-1", "--set", "{\"$maxCount\": 0}"]).fails(6, &["$maxCount", "help: "]);
    place.run(&["meta", "a-1", "--set", "[]"]).fails(6, &["JSON object"]);
    assert_eq!(place.run(&["meta", "a-1"]).ok(), shown);
}

#[test]
fn statistics_are_numbers_with_what_they_count() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    let text = place.run(&["stats"]).ok();
    let head = text.lines().find(|line| line.starts_with("head_position")).unwrap();
    assert!(head.contains(" 1  Position of the last event"), "{text}");
    let json: Value = serde_json::from_str(&place.run(&["stats", "--json"]).ok()).unwrap();
    assert_eq!(json["head_position"], 1);
}

#[test]
fn a_new_store_reads_as_empty_and_a_folder_that_is_not_there_is_not_made() {
    let place = Place::new();
    for command in ["read --all", "tail --all", "stats", "export", "meta a", "delete a"] {
        let args: Vec<&str> = command.split(' ').collect();
        place.run(&args).fails(4, &["there is no store in ./data", "check the folder's name"]);
    }
    assert!(!place.path("data").exists());
    place.append("a-1", "t", "{}");
    assert_eq!(place.run(&["read", "--category", "b"]).ok(), "");
}
