//! `factum follow` with the real binary: both sides killed in the middle of a real import, refused
//! writes, live subscribers, a scavenge at the source, a full disk, and taking its place.

use super::{
    logs::{HELPDESK, Logs},
    support::{Place, Server, SmallDisk, eventually, kill, lines, member, skipped, wait},
};
use factum::blocking;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
};

/// Follows the store at the URL into the folder.
fn follow(place: &Place, source: &str, dir: &str) -> Server {
    let args = ["--at", source, "follow", "--data", dir, "--listen", "127.0.0.1:0"];
    Server::start(&mut place.command(&args), "(a replica of ")
}

/// Starts the store again where it was.
fn again(place: &Place, authority: &str) -> Server {
    let args = ["dev", "--data", "data", "--listen", authority];
    Server::start(&mut place.command(&args), "Ctrl-C stops")
}

fn head(url: &str) -> u64 {
    blocking::open(url).unwrap().head().unwrap().0
}

fn until_level(source: &str, replica: &str) {
    eventually("the replica is level", || (head(source) == head(replica)).then_some(()));
}

fn exported(place: &Place, at: &str) -> String {
    place.run(&["--at", at, "export", "--system"]).ok()
}

/// What `/health/ready` says.
fn health(server: &Server) -> Value {
    let mut stream = TcpStream::connect(server.authority()).unwrap();
    write!(stream, "GET /health/ready HTTP/1.0\r\nHost: h\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The segments of a folder, without zeroes at their ends.
fn segments(place: &Place, dir: &str) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(place.path(dir)).unwrap().map(|file| file.unwrap());
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    let content = |file: std::fs::DirEntry| {
        let mut bytes = std::fs::read(file.path()).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        (file.file_name().into_string().unwrap(), bytes)
    };
    logs.map(content).collect()
}

#[test]
fn a_real_import_is_followed_though_both_sides_are_killed() {
    let Some(logs) = Logs::find("a_real_import_is_followed_though_both_sides_are_killed") else {
        return;
    };
    let mut place = Place::new();
    let store = place.serve();
    let (url, authority) = (store.url.clone(), store.authority().to_owned());
    // An event an append: slow enough to be caught in the middle.
    let mut importing = place.command(&logs.import_helpdesk());
    importing.args(["--batch", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut importing = importing.spawn().unwrap();
    let copy = follow(&place, &url, "copy");
    eventually("a part is there", || (head(&copy.url) > 1_000).then_some(()));
    copy.kill_9();
    let copy = follow(&place, &url, "copy");
    let seen = head(&copy.url);
    assert!(seen >= 1_000, "it has what it had: {seen}");
    eventually("it goes on", || (head(&copy.url) > seen + 500).then_some(()));
    store.kill_9();
    assert_ne!(wait(&mut importing), 0);
    // It serves what it has.
    let seen = head(&copy.url);
    let said = eventually("the loss is told", || {
        Some(health(&copy)).filter(|said| said["trouble"].is_string())
    });
    assert_eq!(
        (said["status"].as_str(), said["source"].as_str()),
        (Some("following"), Some(&*url))
    );
    assert_eq!(head(&copy.url), seen);

    let store = again(&place, &authority);
    place.run(&logs.import_helpdesk()).ok();
    until_level(&url, &copy.url);
    assert_eq!(usize::try_from(head(&copy.url)).unwrap(), HELPDESK);
    assert_eq!(exported(&place, &copy.url), exported(&place, &url));
    assert_eq!(segments(&place, "copy"), segments(&place, "data"));
    let said = eventually("it is level", || {
        Some(health(&copy)).filter(|said| said["lagSeconds"] == 0 && said["trouble"].is_null())
    });
    assert_eq!(
        (said["status"].as_str(), said["lagPositions"].as_u64()),
        (Some("following"), Some(0))
    );

    drop(store);
    assert_eq!(copy.stop("TERM").0, 0);
    place.run(&["--at", "file:copy", "verify"]).ok();
}

#[test]
fn a_replica_serves_reads_in_every_protocol_and_no_writes() {
    let mut place = Place::new();
    let store = place.serve();
    place.append("order-1", "order.placed", "{}");
    let copy = follow(&place, &store.url, "copy");
    let kurrent = format!("kurrentdb://{}?tls=false", copy.authority());
    until_level(&store.url, &copy.url);
    for at in [&copy.url, &kurrent] {
        let says = [
            format!("a replica of {}", store.url),
            format!("help: write to {} instead", store.url),
        ];
        let says: Vec<&str> =
            if at == &kurrent { vec![&says[0]] } else { says.iter().map(|s| &**s).collect() };
        let ran = place.run(&["--at", at, "append", "order-1", "--type", "order.paid"]);
        ran.fails(7, &says);
        let ran = place.run(&["--at", at, "delete", "order-1"]);
        ran.fails(7, &says[..1]);
        let read = place.run(&["--at", at, "read", "order-1", "--json"]).ok();
        assert_eq!(member(&lines(&read), "type"), ["order.placed"]);
    }
    let ran = place.run(&["--at", &copy.url, "scavenge"]);
    ran.fails(7, &["a replica of"]);
    let ran = place.run(&["--at", &copy.url, "erase", "order-1", "0", "--reason", "x"]);
    ran.fails(7, &["a replica of"]);

    // Live, over both.
    for at in [&copy.url, &kurrent] {
        let mut command =
            place.command(&["--at", at, "tail", "order-1", "--from", "start", "--json"]);
        let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(tail.stdout.take().unwrap()).lines();
        let first = out.next().unwrap().unwrap();
        assert_eq!(member(&lines(&first), "type"), ["order.placed"]);
        place.append("order-1", "order.paid", "{}");
        while !out.next().unwrap().unwrap().contains("order.paid") {}
        kill(tail.id(), "INT");
        wait(&mut tail);
    }
    let said = place.run(&["--at", &copy.url, "top", "--once", "--interval", "100ms"]).ok();
    assert!(said.contains("REPLICA: 0 positions behind, level"), "{said}");
    let second = follow(&place, &copy.url, "second");
    until_level(&store.url, &second.url);
    assert_eq!(exported(&place, &second.url), exported(&place, &store.url));
    place.run(&["--at", &second.url, "backup", "kept"]).ok();
    place.run(&["--at", &second.url, "verify"]).ok();
}

#[test]
fn what_the_source_scavenges_goes_from_the_replica_and_it_takes_its_place() {
    let mut place = Place::new();
    super::scavenge::filled(&place);
    let store = place.serve();
    let authority = store.authority().to_owned();
    let copy = follow(&place, &store.url, "copy");
    until_level(&store.url, &copy.url);
    let before = segments(&place, "copy");
    place.run(&["scavenge", "--grace", "0", "--threshold", "0"]).ok();
    let scavenged = segments(&place, "data");
    assert_ne!(scavenged, before);
    eventually("the replica is as small", || (segments(&place, "copy") == scavenged).then_some(()));
    assert_eq!(exported(&place, &copy.url), exported(&place, &store.url));
    assert_eq!(store.stop("TERM").0, 0);

    // The source is gone: the replica is stopped and served as a store.
    let replica_url = copy.url.clone();
    assert_eq!(copy.stop("TERM").0, 0);
    let args = ["dev", "--data", "copy", "--listen", &authority];
    let promoted = Server::start(&mut place.command(&args), "Ctrl-C stops");
    place.append("order-1", "order.placed", "{}");
    // The old store follows the new one, as it has nothing of its own.
    let old = follow(&place, &promoted.url, "data");
    until_level(&promoted.url, &old.url);
    assert_eq!(old.stop("TERM").0, 0);
    // Had it been written to, it would be refused.
    place.run(&["--at", "file:data", "append", "order-1", "--type", "order.lost"]).ok();
    place.append("order-1", "order.kept", &format!("\"{}\"", "x".repeat(500)));
    let forked = place.run(&["--at", &promoted.url, "follow", "--data", "data"]);
    forked.fails(7, &["have different events", "help: follow into another folder"]);
    let read = place.run(&["--at", "file:data", "read", "order-1", "--json"]).ok();
    assert_eq!(member(&lines(&read), "type"), ["order.placed", "order.lost"]);
    assert_ne!(replica_url, promoted.url);
}

#[test]
fn a_full_disk_is_told_and_the_replica_goes_on_when_there_is_room() {
    let mut place = Place::new();
    let at = place.path("small");
    let Some(disk) = SmallDisk::mount(&at, 3000) else {
        return skipped("replica::a_full_disk", "mounting a tmpfs needs to be root");
    };
    let store = place.serve();
    place.append("order-1", "order.placed", "{}");
    let copy = follow(&place, &store.url, "small/copy");
    let data = format!("\"{}\"", "x".repeat(200_000));
    place.write("data.json", data);
    for _ in 0..30 {
        place.run(&["append", "order-1", "--type", "order.changed", "--data", "@data.json"]).ok();
    }
    let said =
        eventually("it is told", || Some(health(&copy)).filter(|said| said["trouble"].is_string()));
    let why = said["trouble"].as_str().unwrap();
    assert!(why.contains("the disk is full") && why.contains("free some space"), "{why}");
    let seen = place.run(&["--at", &copy.url, "read", "order-1", "--json"]).ok();
    assert!(seen.lines().count() >= 1);
    disk.resize(60_000);
    until_level(&store.url, &copy.url);
    assert_eq!(exported(&place, &copy.url), exported(&place, &store.url));
    assert_eq!(copy.stop("TERM").0, 0);
    drop(disk);
}

#[test]
fn what_cannot_be_followed_is_refused_with_the_cure() {
    let mut place = Place::new();
    let of = |at: &str, more: &[&str]| {
        let args: Vec<&str> = ["--at", at, "follow"].iter().chain(more).copied().collect();
        place.run(&args)
    };
    of("file:./data", &[]).fails(2, &["follows a Factum server", "--at factum://"]);
    of("kurrentdb://h:1", &[]).fails(2, &["follows a Factum server"]);
    of("factum://127.0.0.1:1", &[]).fails(5, &["does not answer", "start the source"]);
    of("factum://h:1", &["--listen", "0.0.0.0:0"]).fails(2, &["--insecure"]);
    let store = place.serve();
    let url = store.url.clone();
    place.append("order-1", "order.placed", "{}");
    place.run(&["--at", "file:other", "append", "order-1", "--type", "order.placed"]).ok();
    let ran = place.run(&["--at", &url, "follow", "--data", "other"]);
    ran.fails(7, &["other holds the store", "check the source's URL"]);
    let ran = place.run(&["--at", &url, "follow", "--data", "data"]);
    ran.fails(7, &["in use by another process", &url]);
}
