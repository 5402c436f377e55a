//! `factum quarantine` with the real binary, on files that were really damaged.

use super::support::{Place, lines};

const FIRST: &str = "data/00000000000000000001.log";

/// Flips a bit of the only place where these bytes stand.
fn flip(place: &Place, file: &str, bytes: &[u8]) {
    let mut all = std::fs::read(place.path(file)).unwrap();
    let at = all.windows(bytes.len()).position(|window| window == bytes).unwrap();
    all[at] ^= 1;
    place.write(file, all);
}

/// Events so large that a few of them fill a segment, which gets an index then.
fn large(place: &Place, count: usize) {
    for n in 1..=count {
        place.write("large.json", format!("\"event {n} {}\"", "x".repeat(15 << 20)));
        place.append(&format!("order-{}", n % 2), "order.placed", "@large.json");
    }
}

#[test]
fn what_is_lost_is_said_then_accepted_then_undone() {
    let place = Place::new();
    large(&place, 5);
    flip(&place, FIRST, b"event 2 ");
    let damaged = std::fs::read(place.path(FIRST)).unwrap();
    place.run(&["verify"]).fails(7, &["help: restore the folder from a backup, or see with"]);

    let told = place.run(&["quarantine"]);
    assert!(told.err.contains("nothing has changed"), "{}", told.err);
    let said = told.ok();
    for part in ["damaged at offset", "lost: position 2\n", "order-0: revision 0 (order.placed 1)"]
    {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(std::fs::read(place.path(FIRST)).unwrap() == damaged, "nothing has changed");
    assert!(!place.path("data/quarantine").exists());

    let json = lines(&place.run(&["quarantine", "1", "--accept-loss", "--json"]).ok()).remove(0);
    assert_eq!(json["accepted"], true);
    let segment = &json["segments"][0];
    assert_eq!((&segment["kept"], &segment["lost"][0]["known"]), (&3.into(), &true.into()));
    assert_eq!(segment["events"][0]["stream"], "order-0");
    let aside = segment["aside"].as_str().unwrap().to_owned();
    assert!(std::fs::read(place.path(&aside)).unwrap() == damaged, "it is kept as it is");

    place.append("order-1", "order.paid", "{}");
    let says = ["position 2 are lost", "help: go on after the last of these positions"];
    place.run(&["read", "--all"]).fails(7, &says);
    assert_eq!(place.events(&["--all", "--from", "3", "--limit", "9"]).len(), 4);
    place.run(&["read", "order-0"]).fails(7, &["revision 0 of order-0 is lost", "help: read what"]);
    assert_eq!(place.events(&["order-1"]).len(), 4);
    let verified = place.run(&["verify"]);
    assert!(verified.out.contains("lost      ./data/00000000000000000001.log"), "{verified:?}");
    verified.fails(8, &["all is whole but what is known to be lost"]);
    assert!(place.run(&["stats"]).ok().contains("positions_lost"));
    assert!(place.run(&["quarantine"]).ok().starts_with("nothing is damaged"));

    place.run(&["quarantine", "--undo", "1"]).fails(7, &["does not fit", "it is damaged at"]);
    let mut mended = damaged;
    let at = mended.windows(8).position(|window| window == b"dvent 2 ").unwrap();
    mended[at] ^= 1;
    place.write(&aside, mended);
    let undone = place.run(&["quarantine", "--undo", "00000000000000000001.log"]).ok();
    assert!(undone.ends_with(": 1 positions\n"), "{undone}");
    place.run(&["verify"]).ok();
    assert_eq!(place.events(&["order-0"]).len(), 2);
    place.run(&["quarantine", "--undo", "1"]).fails(4, &["nothing is lost of a segment 1"]);
}

/// The commands of `docs/operations.md`, in their order.
#[test]
fn the_way_through_the_operations_guide_is_a_way() {
    let mut place = Place::new();
    place.at = "file:./factum-data".to_owned();
    for n in 0..3 {
        place.append("order-1", "order.placed", &format!("{{\"n\":\"<{n}>\"}}"));
    }
    let at = ["--at", "file:./factum-data"];
    let run = |args: &[&str]| place.run(&[&at[..], args].concat());
    run(&["backup", "./backup"]).ok();
    flip(&place, "factum-data/00000000000000000001.log", b"<1>");
    run(&["append", "order-1", "--type", "t"]).fails(7, &["position 2 cannot be read"]);
    run(&["verify"]).fails(7, &["1 findings of damage to the log"]);
    let told = run(&["quarantine"]);
    assert!(told.err.contains("of some events nothing is known"), "{}", told.err);
    assert!(told.err.contains("the newest segment is damaged"), "{}", told.err);
    assert!(told.ok().contains("lost: position 2, of which nothing is known"));
    run(&["quarantine", "--accept-loss"]).ok();
    run(&["append", "other-1", "--type", "t"]).ok();
    run(&["verify"]).fails(8, &["known to be lost"]);
    run(&["quarantine", "--undo", "1", "--from", "./backup"]).ok();
    run(&["verify"]).ok();
    assert_eq!(place.events(&["--all"]).len(), 4);
}

#[test]
fn refusals_say_what_to_do() {
    let mut place = Place::new();
    place.run(&["quarantine"]).fails(4, &["there is no store in ./data"]);
    place.append("a-1", "t", "{}");
    place.run(&["quarantine", "1"]).fails(6, &["the segment 1 is whole", "help: leave it out"]);
    place.run(&["quarantine", "7"]).fails(4, &["there is no segment 7"]);
    place.run(&["quarantine", "x"]).fails(2, &["it is the position of its first event"]);
    place.run(&["quarantine", "--from", "f"]).fails(2, &["--undo"]);
    place.run(&["quarantine", "--undo", "1", "--accept-loss"]).fails(2, &["cannot be used with"]);
    let server = place.serve();
    let remote = place.run(&["quarantine"]);
    remote.fails(2, &["this works on a folder that nobody has open", "help: stop the server"]);
    let in_use = place.run(&["--at", "file:./data", "quarantine"]);
    in_use.fails(7, &["in use by another process", &server.url]);
}
