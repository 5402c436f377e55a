//! `factum scavenge` on real folders and a real server, killed in the middle too.

use super::support::{Place, Server, eventually, lines, wait};
use factum::{
    Append, Change, EventData, EventStore, EventType, StreamName, Uuid,
    log::{LogStore, Options},
};
use std::process::Stdio;

/// Small sealed segments, of which half is of a deleted stream.
pub(crate) fn filled(place: &Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let log = LogStore::open(&place.path("data"), options).unwrap();
    let name = |name: &str| StreamName::new(name).unwrap();
    runtime.block_on(async {
        for (n, stream) in (1..400u128).zip(["gone-1", "kept-1"].into_iter().cycle()) {
            let data = format!("\"{}\"", "x".repeat(1000));
            let event_type = EventType::new("thing.happened").unwrap();
            let event = EventData::new(Uuid::from_u128(n), event_type, data);
            log.append(Append::to(name(stream), [event])).await.unwrap();
        }
        log.change(&name("gone-1"), Change::Delete, None).await.unwrap();
    });
    log.close();
}

const THOROUGH: [&str; 5] = ["scavenge", "--grace", "0", "--threshold", "0"];

#[test]
fn a_folder_and_a_servers_store_are_scavenged_with_a_report() {
    let mut place = Place::new();
    filled(&place);
    let kept = place.events(&["kept-1"]);
    let said = place.run(&["scavenge"]).ok();
    assert!(said.contains("left: ") && said.contains("within the grace"), "{said}");
    let server = place.serve();
    let args: Vec<&str> = THOROUGH.iter().chain(&["--json"]).copied().collect();
    let report = lines(&place.run(&args).ok()).remove(0);
    assert_eq!((&report["segments"], &report["stopped"]), (&report["segmentsDone"], &false.into()));
    assert!(report["bytesFreed"].as_u64() > Some(100_000), "{report}");
    assert_eq!(place.events(&["kept-1"]), kept);
    place.run(&["read", "gone-1"]).fails(4, &["gone-1"]);
    place.run(&["scavenge", "--stop"]).fails(4, &["no such scavenge"]);
    drop(server);
    place.at = "file:./data".to_owned();
    let again = place.run(&THOROUGH).ok();
    assert!(again.contains(" 0 rewritten: 0 events removed"), "{again}");
    assert_eq!(place.events(&["kept-1"]), kept);
    place.run(&["verify"]).ok();
}

#[test]
fn killed_in_the_middle_it_is_begun_again_and_nothing_is_lost() {
    let place = Place::new();
    filled(&place);
    let kept = place.events(&["kept-1"]);
    let args: Vec<&str> = THOROUGH.iter().chain(&["--throttle", "300k"]).copied().collect();
    let mut child =
        place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_rewriting = || {
        let names = std::fs::read_dir(place.path("data")).unwrap();
        let mut names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.ends_with(".log.tmp")).then_some(())
    };
    eventually("a segment is being rewritten", is_rewriting);
    child.kill().unwrap();
    assert_eq!(wait(&mut child), -1, "it was killed, and had not ended before");
    assert_eq!(place.events(&["kept-1"]), kept);
    place.run(&["verify"]).ok();
    let said = place.run(&THOROUGH).ok();
    assert!(!said.contains(" 0 rewritten"), "{said}");
    assert_eq!(place.events(&["kept-1"]), kept);
}

#[test]
fn what_cannot_be_scavenged_says_why() {
    let mut place = Place::new();
    place.run(&["scavenge"]).fails(4, &["there is no store in ./data"]);
    place.run(&["scavenge", "--grace", "7"]).fails(2, &["--grace"]);
    place.run(&["scavenge", "--throttle", "0"]).fails(2, &["--throttle"]);
    place.run(&["scavenge", "--threshold", "101"]).fails(2, &["--threshold"]);
    place.run(&["--at", "memory:", "scavenge"]).fails(2, &["not possible over memory:"]);
    filled(&place);
    place.run(&["scavenge", "--stop"]).fails(2, &["Ctrl-C"]);
    let server: Server = place.serve();
    let in_use = place.run(&["--at", "file:./data", "scavenge"]);
    in_use.fails(7, &["in use by another process", &server.url]);
}
