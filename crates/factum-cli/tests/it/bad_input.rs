//! Files that are wrong: the error names the row and the cure, and nothing is written.

use super::{logs::Logs, support::Place};

/// Imports a file that must be refused so, and leaves no event.
#[track_caller]
fn refused(place: &Place, args: &[&str], code: i32, says: &[&str]) {
    let args: Vec<&str> = ["import"].iter().chain(args).copied().collect();
    place.run(&args).fails(code, says);
    if place.path("data").exists() {
        assert!(place.events(&["--all"]).is_empty());
    }
}

const AS: [&str; 6] = ["--stream", "a-{id}", "--type", "t", "--time", "at"];

#[test]
fn a_row_with_a_missing_cell_a_bad_time_or_no_name_is_named() {
    let place = Place::new();
    let good = "id,at\n1,2024-01-01T00:00:00Z\n";
    for (row, says) in [
        ("2\n", "row 2 (line 3): it has 1 of 2 cells: `at` is missing"),
        ("2,x,y\n", "row 2 (line 3): it has 3 cells"),
        ("2,31.12.2024\n", "row 2 (line 3): `31.12.2024` is not a time"),
        ("2,\n", "row 2 (line 3): column `at` is empty"),
        (",2024-01-01T00:00:00Z\n", "row 2 (line 3): column `id` is empty"),
        (
            "2,2024-01-01\n",
            "row 2 (line 3): the time `2024-01-01` has no zone: name one with --time-zone",
        ),
    ] {
        place.write("log.csv", format!("{good}{row}"));
        let args: Vec<&str> = ["log.csv"].iter().chain(&AS).copied().collect();
        refused(&place, &args, 6, &["error: log.csv: ", says, "nothing was written", "--skip-bad"]);
    }
    place.write("log.csv", format!("{good}{},2024-01-01T00:00:00Z\n", "x".repeat(1100)));
    let args: Vec<&str> = ["log.csv"].iter().chain(&AS).copied().collect();
    refused(&place, &args, 6, &["row 2 (line 3): the stream name has 1102 bytes"]);
}

#[test]
fn bad_rows_are_left_out_if_asked_and_named() {
    let place = Place::new();
    place.write("log.csv", "id,at\n1,2024-01-01T00:00:00Z\n2\n3,never\n4,2024-01-02T00:00:00Z\n");
    let args: Vec<&str> = ["import", "log.csv", "--skip-bad"].iter().chain(&AS).copied().collect();
    let ran = place.run(&args);
    assert!(ran.err.contains("warning: left out: log.csv: row 2 (line 3)"), "{ran:?}");
    assert!(ran.err.contains("warning: left out: log.csv: row 3 (line 4)"), "{ran:?}");
    assert_eq!(ran.ok(), "2 new, 0 already there, 2 bad and left out\n");
    assert_eq!(place.events(&["--all"]).len(), 2);
}

#[test]
fn a_column_that_is_not_there_lists_those_that_are() {
    let place = Place::new();
    place.write("log.csv", "id,at\n1,2024-01-01T00:00:00Z\n");
    for (args, column) in [
        (["--stream", "a-{case}", "--type", "t"], "case"),
        (["--stream", "a", "--type", "{what}"], "what"),
    ] {
        let args: Vec<&str> = ["log.csv"].iter().chain(&args).copied().collect();
        let says = format!("there is no column `{column}`; there are: `id`, `at`");
        refused(&place, &args, 2, &[&says]);
    }
    for (option, value, column) in [
        ("--time", "when", "when"),
        ("--id", "{key}", "key"),
        ("--tag", "k:{key}", "key"),
        ("--text", "key", "key"),
    ] {
        let args = ["log.csv", "--stream", "a", "--type", "t", option, value];
        refused(&place, &args, 2, &[&format!("no column `{column}`; there are: `id`, `at`")]);
    }
    refused(
        &place,
        &["log.csv"],
        2,
        &["--stream is missing", "the columns of this file are `id`, `at`"],
    );
    refused(&place, &["log.csv", "--stream", "a"], 2, &["--type is missing"]);
}

#[test]
fn a_format_that_is_not_known_is_asked_for() {
    let place = Place::new();
    place.write("log.txt", "id\n1\n");
    refused(&place, &["log.txt", "--stream", "a", "--type", "t"], 2, &["--format csv, xes, jsonl"]);
    let args = ["import", "log.txt", "--format", "csv", "--stream", "a", "--type", "t"];
    assert_eq!(place.run(&args).ok(), "1 new, 0 already there\n");
}

#[test]
fn a_zone_a_template_or_a_time_format_that_is_none_is_refused() {
    let place = Place::new();
    place.write("log.csv", "id,at\n1,2024-01-01\n");
    let with = |option: &'static str, value: &'static str| {
        let args = ["log.csv", "--stream", "a", "--type", "t", "--time", "at", option, value];
        args.to_vec()
    };
    refused(
        &place,
        &with("--time-zone", "Mars/Olympus"),
        2,
        &["no time zone `Mars/Olympus`", "IANA"],
    );
    refused(&place, &with("--time-format", "dd/mm"), 2, &["epoch-ms"]);
    refused(&place, &with("--tag", "{"), 2, &["has no `}`"]);
    refused(&place, &with("--delimiter", "ab"), 2, &["one character"]);
}

#[test]
fn a_gzip_that_is_cut_off_is_refused() {
    let Some(logs) = Logs::find("a_gzip_that_is_cut_off_is_refused") else {
        return;
    };
    let whole = std::fs::read(&logs.helpdesk).unwrap();
    let place = Place::new();
    for length in [whole.len() / 2, whole.len() - 1] {
        place.write("log.xes.gz", &whole[..length]);
        let args = ["log.xes.gz", "--stream", "a-{case:concept:name}", "--type", "{concept:name}"];
        refused(&place, &args, 6, &["the gzip file is cut off", "nothing was written"]);
    }
}

#[test]
fn an_unknown_element_of_xes_is_named_with_its_line() {
    let place = Place::new();
    let log = "<log>\n<trace>\n<event>\n<text key='a' value='b'/>\n</event>\n</trace>\n</log>\n";
    place.write("log.xes", log);
    let args = ["log.xes", "--stream", "a", "--type", "t"];
    refused(&place, &args, 6, &["line 4 (byte ", "unknown element <text>", "nothing was written"]);
    place.write("log.xes", "id,at\n1,2\n");
    refused(&place, &args, 6, &["log.xes: line", "--format"]);
}

#[test]
fn a_time_that_some_events_lack_is_asked_for() {
    let place = Place::new();
    let log = "<log><event><date key='time:timestamp' value='2024-01-01T00:00:00Z'/></event>\
               <event><string key='n' value='2'/></event></log>";
    place.write("log.xes", log);
    let args = ["log.xes", "--stream", "a", "--type", "t"];
    refused(&place, &args, 6, &["event 2 (line 1): it has no `time:timestamp`"]);
}

#[test]
fn json_lines_that_are_no_events_are_refused() {
    let place = Place::new();
    place.write("log.jsonl", "{\"stream\":\"a\",\"type\":\"t\"}\n{\"n\":1}\n");
    refused(
        &place,
        &["log.jsonl"],
        6,
        &["line 2: `n` is no part of an event", "--type and --stream"],
    );
    place.write("log.jsonl", "{\"stream\":\"a\",\"type\":\"t\"}\n{\"stream\":\"a\"}\n");
    refused(&place, &["log.jsonl"], 6, &["line 2: there is no column `type`"]);
    place.write("log.jsonl", "{\"stream\":\"a\",\"type\":\"t\"}\n{\n");
    refused(&place, &["log.jsonl"], 6, &["line 2: it is not JSON"]);
}
