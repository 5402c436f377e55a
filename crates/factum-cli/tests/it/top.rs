//! `factum top` for scripts, and what it refuses. The screen itself is tested where it is drawn.

use super::support::{Place, Server, eventually, kill, lines, wait};
use std::io::{BufRead, BufReader};

#[test]
fn once_prints_what_happened_and_who_follows() {
    let mut place = Place::new();
    let server = place.serve();
    place.append("order-1", "order.placed", "{}");
    let mut tail = place.command(&["tail", "--category", "order"]).spawn().unwrap();
    let said = eventually("the subscriber is told", || {
        let said = place.run(&["top", "--once", "--interval", "100ms"]).ok();
        said.contains("category order").then_some(said)
    });
    for part in [
        &format!("{}, over ", server.url),
        "head           1\n",
        "appends/s      0\n",
        "subscribers    1\n",
        "       LAG   BEHIND",
        "factum.v1 127.0.0.1:",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn json_is_a_line_a_look_until_the_end() {
    let mut place = Place::new();
    let _server = place.serve();
    place.append("order-1", "order.placed", "{}");
    let mut command = place.command(&["top", "--json", "--interval", "100ms"]);
    let mut top = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(top.stdout.take().unwrap());
    let text: Vec<String> = out.lines().take(2).map(Result::unwrap).collect();
    kill(top.id(), "INT");
    assert_eq!(wait(&mut top), 0);
    for look in lines(&text.join("\n")) {
        assert_eq!(look["headPosition"].as_f64(), Some(1.0));
        assert_eq!(look["appendsPerSecond"], 0.0);
        assert!(look["seconds"].as_f64().unwrap() > 0.05, "{look}");
        assert!(look["subscribers"].as_array().unwrap().is_empty());
    }
}

#[test]
fn what_cannot_be_watched_is_refused_with_the_cure() {
    let mut place = Place::new();
    place.append("a", "t", "{}");
    let of = |at: &str, more: &[&str]| {
        let args: Vec<&str> = ["--at", at, "top"].iter().chain(more).copied().collect();
        place.run(&args)
    };
    of("file:./data", &[]).fails(2, &["one process at a time", "factum dev --data"]);
    of("memory:", &[]).fails(2, &["this process's own", "factum://"]);
    of("kurrentdb://h:1", &["--once"]).fails(2, &["another protocol", "factum://"]);
    of("factum://127.0.0.1:1", &["--once"]).fails(5, &["nobody answers at 127.0.0.1:1"]);
    let server: Server = place.serve();
    place.run(&["top"]).fails(2, &["this is none", "top --once", "top --json"]);
    let gone = server.url.clone();
    server.kill_9();
    place.run(&["--at", &gone, "top", "--json"]).fails(5, &["nobody answers"]);
}
