//! `factum backup` and `factum restore` with the real binary: killed in the middle, on a disk that
//! is full, and refused.

use super::support::{Place, SmallDisk, eventually, lines, skipped, wait};

/// Events enough for some megabytes, in few calls.
fn fill(place: &Place, from: usize, count: usize) {
    let line = |n: usize| {
        format!(
            r#"{{"stream":"order-{}","type":"order.placed","data":{{"n":{n},"x":"{}"}}}}"#,
            n % 7,
            "x".repeat(2000)
        )
    };
    let text: Vec<String> = (from..from + count).map(line).collect();
    place.write("events.jsonl", text.join("\n"));
    place.run(&["import", "events.jsonl"]).ok();
}

fn exported(place: &Place, at: &str) -> String {
    place.run(&["--at", at, "export", "--system"]).ok()
}

#[test]
fn what_was_backed_up_is_restored() {
    let place = Place::new();
    fill(&place, 0, 2000);
    let said = place.run(&["backup", "kept"]).ok();
    assert!(said.starts_with("backed up to position 2000: 1 segments, 1 of them copied"), "{said}");
    fill(&place, 2000, 10);
    let next = lines(&place.run(&["backup", "kept", "--json"]).ok()).remove(0);
    assert_eq!(next["head"], 2010);
    assert!(next["bytesCopied"].as_u64().unwrap() < 100_000, "{next}");
    place.run(&["--at", "file:kept", "verify"]).ok();

    place.run(&["restore", "kept", "--to", "file:all"]).ok();
    assert_eq!(exported(&place, "file:all"), exported(&place, "file:data"));
    place.run(&["restore", "kept", "--to", "file:part", "--to-position", "1234"]).ok();
    assert_eq!(place.run(&["--at", "file:part", "export"]).ok().lines().count(), 1000);
    let last = lines(&exported(&place, "file:all")).pop().unwrap();
    let moment = last["recordedAt"].as_str().unwrap();
    let json = place.run(&["restore", "kept", "--to", "file:time", "--to-time", moment, "--json"]);
    let json = lines(&json.ok()).remove(0);
    assert_eq!((json["head"].as_u64(), &json["recordedAt"]), (Some(2010), &last["recordedAt"]));
    assert_ne!(json["store"], next["store"]);
}

#[test]
fn refusals_say_what_to_do() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    place.run(&["backup", "data/inside"]).fails(7, &["inside of each other", "elsewhere"]);
    std::fs::create_dir(place.path("full")).unwrap();
    place.write("full/notes.txt", "mine");
    place.run(&["backup", "full"]).fails(7, &["neither empty nor a backup", "help: choose"]);
    place.run(&["backup", "kept"]).ok();
    place.run(&["--at", "file:other", "append", "b-1", "--type", "t"]).ok();
    let of_other = place.run(&["--at", "file:other", "backup", "kept"]);
    of_other.fails(7, &["a backup of the store", "help: choose another folder"]);
    place.run(&["--at", "file:none", "backup", "kept"]).fails(4, &["there is no store in none"]);
    assert!(!place.path("none").exists());

    let over = place.run(&["restore", "kept", "--to", "file:other"]);
    over.fails(7, &["other is not empty: nothing is restored over what is there"]);
    let beyond = place.run(&["restore", "kept", "--to", "file:new", "--to-position", "9"]);
    beyond.fails(6, &["position 9 is asked for, and the backup ends at 1", "ask for 1 at most"]);
    place.run(&["restore", "full", "--to", "file:new"]).fails(4, &["no backup in full"]);
    place.run(&["restore", "kept", "--to", "new"]).fails(2, &["--to file:FOLDER"]);
    let mut place = place;
    let server = place.serve();
    let living = place.run(&["restore", "kept", "--to", "file:data"]);
    living.fails(7, &["data is not empty"]);
    let held = place.run(&["--at", "file:data", "backup", "kept"]);
    held.fails(7, &["in use by another process", &server.url]);
}

#[test]
fn a_killed_backup_and_a_killed_restore_go_on() {
    let place = Place::new();
    fill(&place, 0, 6000);
    kill_in(&place, &["backup", "kept"], "kept/00000000000000000001.log.tmp");
    let ran = place.run(&["restore", "kept", "--to", "file:none"]);
    ran.fails(4, &["there is no backup in kept"]);
    place.run(&["backup", "kept"]).ok();
    kill_in(&place, &["restore", "kept", "--to", "file:all"], "all/00000000000000000001.log");
    let ran = place.run(&["--at", "file:all", "read", "--all", "--limit", "1"]);
    ran.fails(7, &["a restore into all was not finished", "help: run `factum restore` again"]);
    place.run(&["restore", "kept", "--to", "file:all"]).ok();
    assert_eq!(exported(&place, "file:all"), exported(&place, "file:data"));
}

/// Kills a command once a file of its has some bytes.
fn kill_in(place: &Place, args: &[&str], file: &str) {
    let mut child = place.command(args).spawn().unwrap();
    let path = place.path(file);
    eventually("it has begun to write", || {
        let len = std::fs::metadata(&path).map_or(0, |file| file.len());
        let is_over = child.try_wait().unwrap().is_some();
        assert!(!is_over, "it ended before it was caught");
        (len > 100_000).then_some(())
    });
    child.kill().unwrap();
    assert_eq!(wait(&mut child), -1);
}

#[test]
fn a_full_disk_leaves_the_backup_before_and_more_room_lets_it_go_on() {
    let place = Place::new();
    let at = place.path("small");
    let Some(disk) = SmallDisk::mount(&at, 3000) else {
        return skipped("backup::a_full_disk", "mounting a tmpfs needs to be root");
    };
    fill(&place, 0, 500);
    place.run(&["backup", "small/kept"]).ok();
    fill(&place, 500, 800);
    let ran = place.run(&["backup", "small/kept"]);
    ran.fails(1, &["the disk is full", "free some space and run it again"]);
    place.run(&["--at", "file:small/kept", "verify"]).ok();
    let said = place.run(&["restore", "small/kept", "--to", "file:before"]).ok();
    assert!(said.starts_with("restored up to position 500,"), "{said}");
    let ran = place.run(&["restore", "small/kept", "--to", "file:small/again"]);
    assert!(ran.code == 0 || ran.err.contains("the disk is full"), "{ran:?}");
    let _ = std::fs::remove_dir_all(place.path("small/again"));
    disk.resize(20_000);
    let said = place.run(&["backup", "small/kept"]).ok();
    assert!(said.starts_with("backed up to position 1300"), "{said}");
}

#[test]
fn a_server_is_backed_up_and_verified_while_it_takes_appends() {
    let mut place = Place::new();
    fill(&place, 0, 1500);
    let server = place.serve();
    let said = place.run(&["backup", "kept"]).ok();
    assert!(said.starts_with("backed up to position 1500: "), "{said}");
    let url = place.at.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| fill(&place, 1500, 1500));
        for _ in 0..3 {
            place.run(&["--at", &url, "backup", "kept"]).ok();
            place.run(&["--at", "file:kept", "verify"]).ok();
            let said = place.run(&["--at", &url, "verify"]).ok();
            assert!(said.trim_end().ends_with(": whole"), "{said}");
        }
    });
    place.run(&["backup", "kept"]).ok();
    place.run(&["restore", "kept", "--to", "file:all"]).ok();
    assert_eq!(exported(&place, "file:all"), exported(&place, &url));

    let path = place.path("data/00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = place.run(&["verify"]);
    assert!(ran.out.contains("damage    00000000000000000001.log at offset "), "{ran:?}");
    ran.fails(7, &["findings of damage to the log"]);
    server.kill_9();
    place.run(&["verify"]).fails(5, &["does not answer", "help: start it"]);
    place.run(&["--at", "kurrentdb://127.0.0.1:1?tls=false", "verify"]).fails(2, &["file:FOLDER"]);
}

/// The same of a server's store, which goes on meanwhile and is none the worse.
#[test]
fn a_backup_over_the_network_that_is_killed_goes_on() {
    let mut place = Place::new();
    fill(&place, 0, 6000);
    let server = place.serve();
    kill_in(&place, &["backup", "kept"], "kept/00000000000000000001.log.tmp");
    place.run(&["restore", "kept", "--to", "file:none"]).fails(4, &["no backup in kept"]);
    fill(&place, 6000, 10);
    let said = place.run(&["backup", "kept"]).ok();
    assert!(said.starts_with("backed up to position 6010:"), "{said}");
    place.run(&["--at", "file:kept", "verify"]).ok();
    place.run(&["restore", "kept", "--to", "file:all"]).ok();
    assert_eq!(exported(&place, "file:all"), exported(&place, &server.url));
}
