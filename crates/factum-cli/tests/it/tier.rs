//! `factum tier`: what it shows and what it refuses; and a server that moves its segments into an
//! emulator of S3, which factum-tier's own tests try in detail.

#[path = "../../../factum-tier/tests/it/emulator.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other tests use all of it")]
mod emulator;

use super::support::{Place, Ran, Server, eventually};
use emulator::Emulator;
use std::net::TcpListener;

fn run(place: &Place, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    Ran::of(command.output().unwrap())
}

#[test]
fn status_shows_each_segment_and_where_it_is() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    let said = run(&place, &["tier", "status", "data"]).ok();
    assert!(said.contains("here") && said.contains("0 segments moved"), "{said}");
    let json = run(&place, &["tier", "status", "data", "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["segments"][0]["base"], 1);
    assert!(json["segments"][0]["object"].is_null());
    assert_eq!(run(&place, &["tier", "fetch", "data"]).ok(), "0 segments fetched back, 0 bytes\n");
}

#[test]
fn what_cannot_be_moved_is_refused_and_nothing_is_written_down() {
    let mut place = Place::new();
    place.append("a-1", "t", "{}");
    let moving = |more: &[&str]| {
        let args: Vec<&str> = ["tier", "move", "data"].iter().chain(more).copied().collect();
        run(&place, &args)
    };
    moving(&["--to", "s3://b/x"]).fails(2, &["how much stays here", "--keep 10GiB"]);
    moving(&["--keep", "0"]).fails(2, &["does not say where to", "--to s3://"]);
    for url in ["bucket", "http://b/x", "s3://id:secret@b/x", "s3://b/x?key=1"] {
        moving(&["--to", url, "--keep", "0"]).fails(2, &["s3://bucket/prefix?region"]);
    }
    run(&place, &["tier", "status", "nowhere"]).fails(4, &["no store in nowhere"]);
    assert!(!place.path("data/TIER").exists());
    let server = place.serve();
    let args = ["tier", "move", "data", "--to", "s3://b/x?region=r", "--keep", "0"];
    run(&place, &args).fails(7, &["in use by another process"]);
    drop(server);
}

/// The newest segment stays, so that here there is nothing to move, and nobody is asked.
#[test]
fn a_folder_remembers_its_storage_and_opens_while_that_is_out_of_reach() {
    let place = Place::new();
    place.append("a-1", "t", "{}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("s3://b/x?region=r&endpoint=http://127.0.0.1:{port}");
    let said = run(&place, &["tier", "move", "data", "--to", &url, "--keep", "0"]).ok();
    assert_eq!(said, "0 segments moved, 0 bytes\n");
    assert_eq!(std::fs::read_to_string(place.path("data/TIER")).unwrap(), url);
    run(&place, &["append", "a-1", "--type", "t"]).ok();
    assert_eq!(run(&place, &["read", "a-1", "--json"]).ok().lines().count(), 2);
    run(&place, &["verify"]).ok();
}

/// Segments move while the server serves, and are read from where they went; without the storage
/// all else goes on.
#[test]
fn a_server_moves_its_segments_and_reads_them_from_there() {
    let Some(emulator) = Emulator::start("tier::a_server_moves_its_segments") else { return };
    let place = Place::new();
    place.write("factum.toml", "[store]\nsegment_bytes = 65536\n");
    let url = emulator.url("segments");
    let serve = |place: &Place| {
        let mut command = place.command(&["serve", "--insecure", "--config", "factum.toml"]);
        command.args(["--data", "data", "--listen", "127.0.0.1:0"]);
        command.args(["--tier", &url, "--tier-keep", "0"]);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        Server::start(&mut command, "factum serves")
    };
    let server = serve(&place);
    let at = ["--at", &server.url];
    let line = |n: usize| {
        let data = "x".repeat(1000);
        format!(r#"{{"stream":"order-{}","type":"t","data":{{"n":{n},"x":"{data}"}}}}"#, n % 3)
    };
    let text: Vec<String> = (0..300).map(line).collect();
    place.write("events.jsonl", text.join("\n"));
    place.run(&[&at[..], &["import", "events.jsonl", "--batch", "10"]].concat()).ok();
    eventually("the first segments are moved", || {
        let is_moved = |name: &str| {
            let here = place.path(&format!("data/{name}.log")).exists();
            place.path(&format!("data/{name}.tier")).exists() && !here
        };
        is_moved("00000000000000000001").then_some(())
    });
    let before = place.run(&[&at[..], &["export"]].concat()).ok();
    assert_eq!(before.lines().count(), 300);
    assert_eq!(server.stop("TERM").0, 0);

    let status = run(&place, &["tier", "status", "data", "--json"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert!(status["segments"][0]["object"].is_string(), "{status}");
    let server = serve(&place);
    let at = ["--at", &server.url];
    assert_eq!(place.run(&[&at[..], &["export"]].concat()).ok(), before);
    drop(emulator);
    place.run(&[&at[..], &["append", "order-1", "--type", "t"]].concat()).ok();
    let newest = place.run(&[&at[..], &["read", "--all", "--backwards", "--limit", "1"]].concat());
    newest.ok();
    assert_eq!(server.stop("TERM").0, 0);
}
