//! What an import makes of a file, and that each event enters once, whatever else is in its stream.

use super::support::{Place, lines, member, root};
use serde_json::json;

const AS: [&str; 6] = ["--stream", "a-{id}", "--type", "t", "--time", "at"];

#[track_caller]
fn import(place: &Place, args: &[&str], says: &str) {
    let args: Vec<&str> = ["import"].iter().chain(args).copied().collect();
    assert_eq!(place.run(&args).ok(), format!("{says}\n"));
}

#[test]
fn the_log_of_this_repository_goes_in_as_its_page_says() {
    let place = Place::new();
    let file = root().join("docs/demo/parcels.csv");
    let args = [
        file.to_str().unwrap(),
        "--stream",
        "parcel-{parcel}",
        "--type",
        "parcel.{what}",
        "--time",
        "at",
        "--tag",
        "courier:{courier}",
    ];
    let rows = std::fs::read_to_string(&file).unwrap().lines().count() - 1;
    import(&place, &args, &format!("{rows} new, 0 already there"));
    import(&place, &args, &format!("0 new, {rows} already there"));
    let parcel = place.events(&["parcel-P4150"]);
    assert_eq!(parcel.len(), 8);
    assert!(place.run(&["read", "parcel-P4150"]).ok().contains(r#""weight_kg":1.2,"price":6.90}"#));
    assert_eq!(parcel[0]["tags"], json!([]), "an empty cell is no tag");
    assert_eq!(parcel[1]["tags"], json!(["courier:Dino"]));
    assert_eq!(place.events(&["--type", "parcel.delivery-failed"]).len(), 3);
    // Two rows that are the same in everything are two events.
    assert_eq!(place.events(&["parcel-P4122", "--type", "parcel.sorted"]).len(), 2);
}

#[test]
fn events_enter_in_order_of_time_and_ties_in_file_order() {
    let place = Place::new();
    place.write(
        "log.csv",
        "id,at,n\n1,2024-01-02T00:00:00Z,a\n2,2024-01-01T00:00:00Z,b\n1,2024-01-01T00:00:00Z,c\n\
         2,2024-01-01T01:00:00+01:00,d\n",
    );
    import(&place, &[&["log.csv"][..], &AS].concat(), "4 new, 0 already there");
    let events = place.events(&["--all"]);
    let names: Vec<_> = events.iter().map(|event| event["data"]["n"].as_str().unwrap()).collect();
    assert_eq!(names, ["b", "c", "d", "a"]);
}

#[test]
fn without_a_time_the_order_of_the_file_stays() {
    let place = Place::new();
    place.write("log.tsv", "id\tn\n2\tx\n1\ty, z\n");
    import(&place, &["log.tsv", "--stream", "a-{id}", "--type", "t"], "2 new, 0 already there");
    let events = place.events(&["--all"]);
    assert_eq!(member(&events, "stream"), ["a-2", "a-1"]);
    assert_eq!(events[1]["data"], json!({"id": 1, "n": "y, z"}));
    assert_eq!(events[0]["occurredAt"], events[0]["recordedAt"]);
}

#[test]
fn times_without_a_zone_are_placed_in_the_one_that_is_named() {
    let place = Place::new();
    place.write("log.csv", "id,at\n1,2024-07-01 12:00\n");
    let args = [&["log.csv"][..], &AS, &["--time-zone", "Europe/Rome"]].concat();
    import(&place, &args, "1 new, 0 already there");
    assert_eq!(place.events(&["a-1"])[0]["occurredAt"], "2024-07-01T10:00:00Z");
    place.write("log.csv", "id,at\n2,1719828000123\n");
    let args = [&["log.csv"][..], &AS, &["--time-format", "epoch-ms"]].concat();
    import(&place, &args, "1 new, 0 already there");
    assert_eq!(place.events(&["a-2"])[0]["occurredAt"], "2024-07-01T10:00:00.123Z");
}

#[test]
fn events_of_others_in_the_same_stream_are_left_alone() {
    let place = Place::new();
    place.append("a-1", "mine", "{}");
    place.write("log.csv", "id,at\n1,2024-01-01T00:00:00Z\n1,2024-01-02T00:00:00Z\n");
    let args = [&["log.csv"][..], &AS].concat();
    import(&place, &args, "2 new, 0 already there");
    place.append("a-1", "mine", "{}");
    import(&place, &args, "0 new, 2 already there");
    // The file has grown: its new row goes after what is there.
    place.write(
        "log.csv",
        "id,at\n1,2024-01-01T00:00:00Z\n1,2024-01-01T12:00:00Z\n1,2024-01-02T00:00:00Z\n",
    );
    import(&place, &args, "1 new, 2 already there");
    let types = member(&place.events(&["a-1"]), "type");
    assert_eq!(types, ["mine", "t", "t", "mine", "t"]);
}

#[test]
fn what_a_limit_hides_is_there_and_what_was_deleted_is_not() {
    let place = Place::new();
    place.write(
        "log.csv",
        "id,at\n1,2024-01-01T00:00:00Z\n1,2024-01-02T00:00:00Z\n1,2024-01-03T00:00:00Z\n",
    );
    let args = [&["log.csv"][..], &AS].concat();
    import(&place, &args, "3 new, 0 already there");
    place.run(&["meta", "a-1", "--set", "{\"$maxCount\": 1}"]).ok();
    assert_eq!(place.events(&["a-1"]).len(), 1);
    import(&place, &args, "0 new, 3 already there");
    place.run(&["meta", "a-1", "--set", "{}"]).ok();
    place.run(&["delete", "a-1"]).ok();
    import(&place, &args, "3 new, 0 already there");
    assert_eq!(member(&place.events(&["a-1"]), "revision"), ["3", "4", "5"]);
    import(&place, &args, "0 new, 3 already there");
    place.run(&["delete", "a-1", "--tombstone"]).ok();
    let args = [&["import"][..], &args].concat();
    place.run(&args).fails(4, &["stream a-1 is deleted for ever", "--stream"]);
}

#[test]
fn an_id_of_the_file_is_kept_or_made_one() {
    let place = Place::new();
    let id = "6b4e2e3a-7d0f-4a6a-9b1e-0a4b6c8d0e2f";
    place.write("log.csv", format!("id,key\n1,{id}\n1,order 7\n1,order 7\n"));
    let args = ["log.csv", "--stream", "a-{id}", "--type", "t", "--id", "{key}"];
    // The same row with the same id is the same event.
    import(&place, &args, "2 new, 1 already there");
    assert_eq!(member(&place.events(&["a-1"]), "id")[0], id);
    import(&place, &args, "0 new, 3 already there");
    place.write("log.csv", "id,key,n\n1,order 8,1\n1,order 8,2\n");
    let args = [&["import"][..], &args].concat();
    place.run(&args).fails(6, &["row 2 (line 3): the id ", "is that of row 1 (line 2) too"]);
}

#[test]
fn plain_json_lines_and_cloudevents_of_others_go_in() {
    let place = Place::new();
    place.write(
        "log.jsonl",
        "{\"kind\":\"x\",\"customer\":{\"id\":7},\"at\":\"2024-01-02T00:00:00Z\"}\n\n\
         {\"kind\":\"y\",\"customer\":{\"id\":8},\"at\":\"2024-01-01T00:00:00Z\"}\n",
    );
    let args = ["log.jsonl", "--stream", "c-{customer.id}", "--type", "{kind}", "--time", "at"];
    import(&place, &args, "2 new, 0 already there");
    assert_eq!(member(&place.events(&["--all"]), "stream"), ["c-8", "c-7"]);
    let event =
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1},"tenant":"x"}"#;
    let args = ["import", "-", "--format", "cloudevents", "--stream", "all-{source}"];
    assert_eq!(place.run_with(&args, event.as_bytes()).ok(), "1 new, 0 already there\n");
    assert_eq!(place.run_with(&args, event.as_bytes()).ok(), "0 new, 1 already there\n");
    let event = &place.events(&["all-/s"])[0];
    assert_eq!(event["metadata"]["cloudEvent"]["tenant"], "x");
}

#[test]
fn hand_written_events_need_no_more_than_a_stream_and_a_type() {
    let place = Place::new();
    place.write(
        "log.jsonl",
        "{\"stream\":\"a-1\",\"type\":\"t\",\"data\":{\"n\":1},\"tags\":[\"k\"]}\n",
    );
    import(&place, &["log.jsonl"], "1 new, 0 already there");
    import(&place, &["log.jsonl"], "0 new, 1 already there");
    assert_eq!(place.events(&["--tag", "k"]).len(), 1);
}

#[test]
fn over_kurrentdbs_protocol_each_event_enters_once_too() {
    let mut place = Place::new();
    let server = place.serve();
    let own = std::mem::replace(&mut place.at, kurrent(&server));
    place.write(
        "log.csv",
        "id,at,n\n1,2024-01-01T00:00:00Z,a\n2,2024-01-02T00:00:00Z,b\n1,2024-01-03T00:00:00Z,c\n\
         1,2024-01-03T00:00:00Z,c\n",
    );
    let args = [&["log.csv"][..], &AS].concat();
    import(&place, &args, "4 new, 0 already there");
    import(&place, &args, "0 new, 4 already there");
    place.run(&["read", "a-1", "--as-of", "1"]).fails(7, &["as of the past"]);
    let facts = |place: &Place| {
        let events = place.events(&["a-1"]);
        ["id", "revision", "type", "data", "occurredAt"].map(|key| member(&events, key))
    };
    let told = facts(&place);
    place.at = own;
    import(&place, &args, "0 new, 4 already there");
    assert_eq!(facts(&place), told, "both protocols tell the same");
}

fn kurrent(server: &super::support::Server) -> String {
    format!("kurrentdb://{}?tls=false", server.authority())
}

#[test]
fn two_imports_at_once_add_nothing_twice() {
    let mut place = Place::new();
    let _server = place.serve();
    let rows: String = (0..400).map(|n| format!("{},2024-01-01T00:00:00Z,{n}\n", n % 7)).collect();
    place.write("log.csv", format!("id,at,n\n{rows}"));
    let args = [&["import", "log.csv", "--batch", "3"][..], &AS].concat();
    let children: Vec<_> = (0..3)
        .map(|_| place.command(&args).stdout(std::process::Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    let events = lines(&place.run(&["export"]).ok());
    assert_eq!(events.len(), 400);
    import(&place, &args[1..], "0 new, 400 already there");
}
