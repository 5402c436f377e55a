//! `factum compress` on real folders and under a real server, killed in the middle too.

use super::support::{Place, Server, eventually, lines, wait};
use factum::{
    Append, EventData, EventStore, EventType, StreamName, Uuid,
    log::{LogStore, Options},
};
use std::process::Stdio;

/// Small sealed segments.
fn filled(place: &Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let log = LogStore::open(&place.path("data"), options).unwrap();
    runtime.block_on(async {
        for n in 1..400u128 {
            let data = format!("{{\"n\": {n}, \"text\": \"{}\"}}", "some text ".repeat(100));
            let event_type = EventType::new("thing.happened").unwrap();
            let event = EventData::new(Uuid::from_u128(n), event_type, data);
            log.append(Append::to(StreamName::new("thing-1").unwrap(), [event])).await.unwrap();
        }
    });
    log.close();
}

fn count(place: &Place, end: &str) -> usize {
    let names = std::fs::read_dir(place.path("data")).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(end)).count()
}

#[test]
fn a_folder_is_compressed_read_and_brought_back() {
    let mut place = Place::new();
    filled(&place);
    let before = place.events(&["thing-1"]);
    let sealed = count(&place, ".log") - 1;
    let said = place.run(&["compress"]).ok();
    assert!(said.starts_with(&format!("{sealed} segments compressed: ")), "{said}");
    assert_eq!((count(&place, ".log"), count(&place, ".zst")), (1, sealed));
    assert_eq!(place.events(&["thing-1"]), before);
    place.run(&["verify"]).ok();
    place.run(&["backup", "copy"]).ok();
    place.append("thing-1", "thing.happened", "{}");
    let again = lines(&place.run(&["compress", "--level", "19", "--json"]).ok()).remove(0);
    assert_eq!((&again["segments"], &again["stopped"]), (&0.into(), &false.into()));
    let server = place.serve();
    assert_eq!(place.events(&["thing-1"])[..before.len()], before);
    place.run(&["verify"]).ok();
    drop(server);
    place.at = "file:./data".to_owned();
    let said = place.run(&["compress", "--undo"]).ok();
    assert!(said.starts_with(&format!("{sealed} segments brought back: ")), "{said}");
    assert_eq!((count(&place, ".log"), count(&place, ".zst")), (sealed + 1, 0));
    assert_eq!(place.events(&["thing-1"])[..before.len()], before);
}

#[test]
fn a_server_compresses_what_it_serves() {
    let mut place = Place::new();
    filled(&place);
    let before = place.events(&["thing-1"]);
    let sealed = count(&place, ".log") - 1;
    let mut dev =
        place.command(&["dev", "--data", "data", "--listen", "127.0.0.1:0", "--compress", "zstd"]);
    let server = Server::start(&mut dev, "Ctrl-C stops");
    place.at.clone_from(&server.url);
    eventually("all are compressed", || (count(&place, ".zst") == sealed).then_some(()));
    eventually("the plain files are gone", || (count(&place, ".log") == 1).then_some(()));
    assert_eq!(place.events(&["thing-1"]), before);
    let stats = lines(&place.run(&["stats", "--json"]).ok()).remove(0).to_string();
    assert!(stats.contains("segment_disk_bytes"), "{stats}");
    drop(server);
    place.at = "file:./data".to_owned();
    assert_eq!(place.events(&["thing-1"]), before);
}

#[test]
fn killed_in_the_middle_it_is_begun_again_and_nothing_is_lost() {
    for undo in [false, true] {
        let place = Place::new();
        filled(&place);
        let before = place.events(&["thing-1"]);
        let mut args = vec!["compress", "--throttle", "300k"];
        if undo {
            place.run(&["compress"]).ok();
            args.push("--undo");
        }
        let unfinished = if undo { ".unpacked.tmp" } else { ".zst.tmp" };
        let mut child =
            place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_at_it = || (count(&place, unfinished) > 0).then_some(());
        eventually("a segment is being made", is_at_it);
        child.kill().unwrap();
        assert_eq!(wait(&mut child), -1, "it was killed, and had not ended before");
        assert_eq!(place.events(&["thing-1"]), before);
        place.run(&["verify"]).ok();
        args.retain(|arg| *arg != "--throttle" && *arg != "300k");
        let said = place.run(&args).ok();
        assert!(!said.starts_with("0 segments"), "{said}");
        assert_eq!(count(&place, ".tmp"), 0);
        assert_eq!(place.events(&["thing-1"]), before);
        place.run(&["verify"]).ok();
    }
}

#[test]
fn what_cannot_be_compressed_says_why() {
    let mut place = Place::new();
    place.run(&["compress"]).fails(4, &["there is no store in ./data"]);
    place.run(&["compress", "--level", "99"]).fails(2, &["--level"]);
    place.run(&["--at", "memory:", "compress"]).fails(2, &["not possible over memory:"]);
    place.run(&["dev", "--compress", "lz4"]).fails(2, &["zstd:LEVEL"]);
    filled(&place);
    let server = place.serve();
    place.run(&["compress"]).fails(2, &["factum serve --compress zstd"]);
    place.run(&["--at", "file:./data", "compress"]).fails(7, &["in use", &server.url]);
}
