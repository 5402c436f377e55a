//! What a store costs as it grows: fills a folder, then measures opening, memory, bytes on disk,
//! appends, and the files and pages that questions touch.
//!
//! `cargo run --release -p factum-log --example scale -- DIR [SETTING=VALUE…]` does all of it, each
//! part in a process of its own; `scale DIR PART …` does one part: `fill`, `open`, `ask`, `append`.
//! `docs/scale.md` says what came of it. Settings: `events` (1000000), `streams` (100000), `batch`
//! (100 events an append), `shape` (`filled`: one stream after the other; `spread`: each event in
//! another stream), `tags` (0; or so many different ones), `segment` (MiB; the engine's default),
//! `fan_out` (the engine's default).
#![allow(clippy::print_stdout, reason = "a measurement prints")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails stops")]
#![allow(clippy::disallowed_methods, reason = "it measures the real disk and the real time")]
#![allow(clippy::disallowed_types, reason = "each part is a process of its own")]

mod counting;
mod measure;
mod shape;

use factum_log::{Options, World};
use shape::Settings;
use std::{path::Path, process::Command, sync::Arc};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("DIR: the folder to fill");
    let rest: Vec<String> = arguments.collect();
    let settings = Settings::of(&rest);
    let dir = Path::new(&dir);
    match rest.first().map(String::as_str) {
        Some("fill") => measure::fill(dir, &settings),
        Some("open") => measure::open(dir, &settings),
        Some("ask") => measure::ask(dir, &settings),
        Some("append") => measure::append(dir, &settings),
        _ => all(dir, &rest),
    }
}

/// Each part in its own process, so that none sees the memory of another.
fn all(dir: &Path, settings: &[String]) {
    for part in ["fill", "open", "ask", "append"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let status = command.arg(dir).arg(part).args(settings).status().unwrap();
        assert!(status.success(), "{part} failed");
    }
}

fn options(settings: &Settings, disk: counting::CountingDisk) -> Options {
    let usual = Options::default();
    let segment_bytes = settings.segment_mib.map_or(usual.segment_bytes, |mib| mib << 20);
    let fan_out = settings.fan_out.map(|fan_out| usize::try_from(fan_out).unwrap());
    let index_fan_out = fan_out.unwrap_or(usual.index_fan_out);
    let world = World { disk: Arc::new(disk), ..usual.world };
    Options { world, segment_bytes, index_fan_out, ..usual }
}
