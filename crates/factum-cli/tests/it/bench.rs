//! `factum bench`: what it says, what it refuses, and that nothing stays.

use super::support::{Place, eventually, kill, lines, wait};

fn names(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.path(".")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_disk_is_measured_and_nothing_stays() {
    let place = Place::new();
    let ran = place.run(&["bench", "--seconds", "2"]);
    assert!(ran.err.contains("about 2 s") && ran.err.contains("removes in the end"), "{ran:?}");
    let said = ran.ok();
    for part in [
        "write and sync, over zeroes",
        "appends, 64 writers",
        "appends, 1 writer, 100 events each",
        "reads of everything",
        "writes a second durable.",
        "appends a second from one client",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let json = place.run(&["bench", ".", "--seconds", "1", "--json"]).ok();
    let json = &lines(&json)[0];
    assert!(json["zeroFilled"]["perSecond"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["appends"].as_array().unwrap().len(), 4);
    assert_eq!(names(&place), [""; 0]);
}

#[test]
fn a_server_is_measured_only_if_it_is_named_and_keeps_no_stream() {
    let mut place = Place::new();
    let server = place.serve();
    place.run(&["bench", "--seconds", "1"]).ok();
    assert!(
        place.events(&["--all"]).is_empty(),
        "the environment names a server, no one else does"
    );
    let said = place.run(&["bench", "--at", &server.url, "--seconds", "1"]).ok();
    assert!(said.contains("appends, 16 writers") && !said.contains("over zeroes"), "{said}");
    let events = place.events(&["--category", "factum_bench", "--limit", "1"]);
    let stream = events[0]["stream"].as_str().unwrap();
    place.run(&["read", stream]).fails(4, &["is deleted"]);
}

#[test]
fn stopped_in_the_middle_it_cleans_up_too() {
    let place = Place::new();
    let mut bench = place.command(&["bench", "--seconds", "600"]).spawn().unwrap();
    eventually("it has begun", || (!names(&place).is_empty()).then_some(()));
    kill(bench.id(), "INT");
    assert_eq!(wait(&mut bench), 1);
    assert_eq!(names(&place), [""; 0]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    place.append("a", "t", "{}");
    place.run(&["bench", "data"]).fails(2, &["looks like the folder of a store", "above it"]);
    place.run(&["bench", "nowhere"]).fails(6, &["cannot look into nowhere"]);
    place.run(&["bench", "data", "--at", "memory:"]).fails(2, &["two things to measure"]);
    place.run(&["bench", "--at", "file:./data"]).fails(2, &["factum bench DIR"]);
    assert_eq!(names(&place), ["data"]);
}
