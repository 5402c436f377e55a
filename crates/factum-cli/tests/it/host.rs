//! `dev` and `serve`: what they refuse, what they say, how they end.

use super::support::{Place, Server, eventually};

#[test]
fn dev_says_where_it_is_and_what_to_try_and_ends_politely() {
    for signal in ["INT", "TERM"] {
        let mut place = Place::new();
        let server = place.serve();
        place.append("order-1", "order.placed", "{}");
        let url = server.url.clone();
        let authority = server.authority().to_owned();
        let (code, said) = server.stop(signal);
        assert_eq!(code, 0, "{said}");
        for part in [
            place.path("data").to_str().unwrap(),
            &url,
            &format!("kurrentdb://{authority}?tls=false"),
            &format!("http://{authority}/health/ready"),
            &format!("append order-1 --type order.placed --data '{{\"total\": 12}}' --at {url}"),
            "stopped: everything is in data, up to position 1",
        ] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        place.at = "file:./data".to_owned();
        assert_eq!(place.events(&["--all"]).len(), 1);
    }
}

#[test]
fn what_dev_says_to_try_works_as_it_stands() {
    let mut place = Place::new();
    let server = place.serve();
    let said = server.banner.clone();
    let tries = said.lines().filter(|line| line.contains(" order-1"));
    let outputs: Vec<String> = tries
        .map(|line| {
            let ran = std::process::Command::new("sh").args(["-c", line.trim()]).output().unwrap();
            assert!(ran.status.success(), "{line}: {ran:?}");
            String::from_utf8(ran.stdout).unwrap()
        })
        .collect();
    assert!(outputs[0].starts_with("order-1@0  position 1  id "), "{said}{outputs:?}");
    assert!(outputs[1].contains("order-1@0  order.placed  {\"total\":12}"), "{said}{outputs:?}");
}

#[test]
fn dev_listens_on_this_machine_only() {
    let place = Place::new();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:2113"] {
        place
            .run(&["dev", "--listen", listen])
            .fails(2, &["this machine only", "--listen 127.0.0.1:", "serve --insecure"]);
    }
    assert!(!place.path("factum-data").exists());
}

#[test]
fn a_port_in_use_is_named_with_the_cure() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    place.run(&["dev", "--listen", &listen]).fails(
        1,
        &[&format!("another program listens on {listen} already"), "--listen 127.0.0.1:0"],
    );
}

#[test]
fn a_folder_that_a_server_holds_is_refused_with_its_url() {
    let mut place = Place::new();
    let server = place.serve();
    let url = format!("use --at {} instead", server.url);
    for command in ["append a --type t", "read --all", "stats"] {
        let args: Vec<&str> =
            ["--at", "file:./data"].into_iter().chain(command.split(' ')).collect();
        place.run(&args).fails(7, &["./data is in use by another process", &url]);
    }
    place.run(&["dev", "--data", "data", "--listen", "127.0.0.1:0"]).fails(7, &[&url]);
    server.kill_9();
    place.at = "file:./data".to_owned();
    place.append("a", "t", "{}");
}

#[test]
fn serve_is_never_insecure_by_accident() {
    let place = Place::new();
    place
        .run(&["serve"])
        .fails(2, &["TLS and users are not there yet", "--insecure", "factum dev"]);
    place.write("factum.toml", "insecure = false\n");
    place.run(&["serve", "--config", "factum.toml"]).fails(2, &["--insecure"]);
    assert!(!place.path("factum-data").exists());
}

#[test]
fn serve_takes_its_options_from_a_file_and_the_command_line_wins() {
    let mut place = Place::new();
    place.write("factum.toml", "data = 'from-file'\nlisten = '127.0.0.1:0'\ninsecure = true\n");
    let mut command = place.command(&["serve", "--config", "factum.toml"]);
    let server = Server::start(&mut command, "serves from-file at");
    place.at.clone_from(&server.url);
    place.append("a", "t", "{}");
    assert_eq!(server.stop("TERM").0, 0);
    let mut command = place.command(&["serve", "--config", "factum.toml", "--data", "mine"]);
    let server = Server::start(&mut command, "serves mine at");
    assert!(place.path("mine").is_dir());
    assert_eq!(server.stop("TERM").0, 0);
}

#[test]
fn a_config_file_with_a_mistake_is_refused() {
    let place = Place::new();
    for (text, says) in [
        ("dta = 'x'\n", "unknown field `dta`"),
        ("listen = 'nowhere'\n", "listen"),
        ("insecure = 1\n", "insecure"),
        ("= x\n", "factum.toml"),
    ] {
        place.write("factum.toml", text);
        place
            .run(&["serve", "--config", "factum.toml", "--insecure"])
            .fails(6, &[says, "the keys are data, listen, tier, compress and insecure"]);
    }
    place.run(&["serve", "--config", "nowhere.toml"]).fails(6, &["nowhere.toml"]);
}

#[test]
fn a_folder_of_a_newer_format_or_that_is_none_is_refused() {
    let place = Place::new();
    place.append("a", "t", "{}");
    place.write("file", "x");
    place.run(&["--at", "file:./file", "append", "a", "--type", "t"]).fails(7, &["file"]);
    let log = place.path("data/00000000000000000001.log");
    newer(&log);
    place.run(&["read", "--all"]).fails(7, &["newer release", "use the release that wrote it"]);
    place.run(&["dev", "--data", "data", "--listen", "127.0.0.1:0"]).fails(7, &["newer release"]);
}

/// Makes a segment say that it is of a later format, with a checksum that is right.
fn newer(log: &std::path::Path) {
    let mut bytes = std::fs::read(log).unwrap();
    bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
    let covered = [&bytes[..12], &bytes[16..128]].concat();
    bytes[12..16].copy_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
    std::fs::write(log, bytes).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn scrubbing_can_be_turned_off() {
    let place = Place::new();
    place.write("off.toml", "insecure = true\n[store]\nscrub_bytes_per_second = 0\n");
    let dev: &[&str] = &["dev", "--data", "d", "--listen", "127.0.0.1:0"];
    let serve: &[&str] =
        &["serve", "--config", "off.toml", "--data", "s", "--listen", "127.0.0.1:0"];
    for (command, more, scrubs) in [
        (dev, &[][..], true),
        (dev, &["--scrub", "off"], false),
        (serve, &[], false),
        (serve, &["--scrub", "4MiB"], true),
    ] {
        let says = if command == dev { "Ctrl-C stops" } else { "factum serves" };
        let server = Server::start(&mut place.command(&[command, more].concat()), says);
        // A thread names itself: it has begun when it has its name.
        let has = |wanted: &str| server.threads().iter().any(|name| name == wanted);
        let begun = if scrubs { "factum-scrub" } else { "factum-read" };
        eventually(begun, || has(begun).then_some(()));
        assert_eq!(has("factum-scrub"), scrubs, "{command:?} {more:?}");
    }
    place.run(&["dev", "--scrub", "slow"]).fails(2, &["TB, or off"]);
}
