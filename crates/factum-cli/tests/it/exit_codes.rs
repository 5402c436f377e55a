//! Each kind of failure has its exit code, its cause and its cure.

use super::support::Place;

#[test]
fn two_for_a_wrong_command_line() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    place.run(&["read"]).fails(2, &["it is not said which events", "--all"]);
    place.run(&["tail"]).fails(2, &["it is not said which events"]);
    place.run(&["read", "a-1", "--all"]).fails(2, &["cannot be used with"]);
    place.run(&["append", "a-1"]).fails(2, &["--type"]);
    place.run(&["append", "", "--type", "t"]).fails(2, &["the stream name is empty"]);
    place.run(&["append", "a", "--type", "t", "--id", "7"]).fails(2, &["--id"]);
    place.run(&["read", "a", "--as-of", "2024-01-01"]).fails(2, &["has no zone"]);
    place.run(&["delete", "a-1", "--expect", "none"]).fails(2, &["nothing to delete"]);
    for url in ["data", "http://127.0.0.1:1", "file:"] {
        place.run(&["--at", url, "read", "a"]).fails(2, &["write", "help: give it with --at"]);
    }
    place.run(&["--at", "factum://", "read", "a"]).fails(2, &["help: "]);
}

#[test]
fn three_for_an_expectation_that_does_not_hold() {
    let place = Place::new();
    let append = |expect: &str| place.run(&["append", "a-1", "--type", "t", "--expect", expect]);
    append("exists").fails(3, &["stream a-1 has no event", "it was expected to exist"]);
    append("0").fails(3, &["stream a-1 has no event, and revision 0 was expected"]);
    append("none").ok();
    append("none").fails(3, &["has revision 0, and none was expected", "nothing was written"]);
    append("1").fails(3, &["has revision 0, and revision 1 was expected", "help: read"]);
    append("0").ok();
    append("exists").ok();
    append("any").ok();
    place.run(&["delete", "a-1", "--expect", "0"]).fails(3, &["has revision 3, and revision 0"]);
    assert_eq!(place.events(&["a-1"]).len(), 4);
    place.run(&["delete", "a-1", "--expect", "3"]).ok();
    append("exists").fails(3, &["stream a-1 is deleted, and its last event had revision 3"]);
}

#[test]
fn three_for_an_id_that_is_used_otherwise() {
    let place = Place::new();
    let id = "6b4e2e3a-7d0f-4a6a-9b1e-0a4b6c8d0e2f";
    place.run(&["append", "a-1", "--type", "t", "--id", id]).ok();
    let retry = ["append", "a-1", "--type", "t", "--id", id, "--expect", "none"];
    assert!(place.run(&retry).ok().contains("it was there already"));
}

#[test]
fn four_for_what_is_not_there() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    place.run(&["read", "a-2"]).fails(4, &["there is no stream a-2", "--category"]);
    place.run(&["delete", "a-2"]).fails(4, &["there is no stream a-2"]);
    assert_eq!(place.events(&["--all"]).len(), 1, "nothing was written");
    place.run(&["--at", "file:./other", "read", "--all"]).fails(4, &["no store in ./other"]);
}

#[test]
fn five_for_a_server_that_does_not_answer() {
    let place = Place::new();
    // A port that was free a moment ago, and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("factum://{free}");
    for command in ["append a --type t", "read --all", "tail --all", "stats", "export"] {
        let args: Vec<&str> = ["--at", &url].into_iter().chain(command.split(' ')).collect();
        place.run(&args).fails(5, &[&format!("nobody answers at {free}"), "help: "]);
    }
    let mut default = place.command(&["read", "a"]);
    default.env_remove("FACTUM_URL");
    let said = String::from_utf8(default.output().unwrap().stderr).unwrap();
    // Where a store runs on this machine, it answers.
    assert!(!said.contains("nobody answers") || said.contains("start a store with `factum dev`"));
}

#[test]
fn six_for_bad_input() {
    let place = Place::new();
    let append = |args: &[&str]| {
        let args: Vec<&str> = ["append", "a", "--type", "t"].iter().chain(args).copied().collect();
        place.run(&args)
    };
    append(&["--data", "{total: 12}"]).fails(6, &["the data is not JSON", "quote it", "--binary"]);
    append(&["--metadata", "x"]).fails(6, &["the metadata is not JSON"]);
    append(&["--data", "@nowhere.json"]).fails(6, &["nowhere.json"]);
    append(&["--data", "-"]).fails(6, &["the data is not JSON: EOF"]);
    place.write("large.json", format!("\"{}\"", "x".repeat(16 << 20)));
    append(&["--data", "@large.json"]).fails(6, &["more than 16777216 bytes"]);
    place.run(&["append", "$$a", "--type", "t"]).fails(6, &["$metadata"]);
    place.run(&["append", "a", "--type", "$streamDeleted"]).fails(6, &["tombstone"]);
    place
        .run(&["import", "nowhere.csv", "--stream", "a", "--type", "t"])
        .fails(6, &["nowhere.csv", "check the file's name"]);
    assert!(!place.path("data").join("LOCK").exists() || place.events(&["--all"]).is_empty());
}
