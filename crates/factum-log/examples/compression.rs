//! What compressing sealed segments saves and costs here: by level, and against plain segments.
//!
//! `cargo run --release -p factum-log --features zstd --example compression -- DIR [EVENTS]`, or a
//! folder with a closed store instead of a number of events. For orientation.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement prints")]

use factum_core::{Append, EventData, EventType, Query, Read, StreamName, Uuid};
use factum_log::{
    Job, Options, Reader, World,
    disk::OsDisk,
    packed::{PackedDisk, PackedOptions},
};
use std::{
    hint::black_box,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

type Failure = Box<dyn std::error::Error>;

/// Levels that are tried.
const LEVELS: [i32; 5] = [1, 3, 6, 9, 19];
/// Events of an append.
const BATCH: u64 = 100;
/// Single events that are read, far from each other.
const SINGLE: u64 = 2000;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("factum-compression-{}", std::process::id()));
    let what = args.next().unwrap_or_else(|| "1000000".into());
    match what.parse() {
        Ok(events) => fill(&dir, events)?,
        Err(_) => copy(Path::new(&what), &dir)?,
    }
    measure(&dir, "plain")?;
    for level in LEVELS {
        let disk = disk();
        let began = Instant::now();
        let done = disk.compress(&dir, level, &mut |_| true)?;
        let took = began.elapsed().as_secs_f64();
        let ratio = done.bytes as f64 / done.stored as f64;
        let rate = done.bytes as f64 / took / 1e6;
        println!("level {level}: {done:?}, {ratio:.2} to 1, {rate:.0} MB/s");
        measure(&dir, &format!("level {level}"))?;
        disk.expand(&dir, &mut |_| true)?;
    }
    measure(&dir, "plain again")?;
    Ok(std::fs::remove_dir_all(dir)?)
}

fn disk() -> PackedDisk {
    PackedDisk::new(Arc::new(OsDisk), PackedOptions::default())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// JSON of 256 bytes, as the benchmark's: members that are alike, and a note of random letters.
fn payload(number: u64) -> String {
    let mut text = format!(
        "{{\"n\":\"{number:016x}\",\"orderId\":\"ord-{number:08}\",\"customer\":\"c-4711\",\
         \"status\":\"placed\",\"items\":[{{\"sku\":\"A-100\",\"qty\":2,\"price\":19.99}}],\
         \"note\":\""
    );
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < 254 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push(char::from(b'a' + u8::try_from((state >> 33) % 26).expect("a letter")));
    }
    text + "\"}"
}

fn fill(dir: &Path, events: u64) -> Result<(), Failure> {
    let (mut writer, _reader) = factum_log::open(dir, Options::default())?;
    let event_type = EventType::new("order.placed")?;
    for first in (0..events).step_by(BATCH as usize) {
        let stream = StreamName::new(&format!("order-{}", first / BATCH % 1000))?;
        let event = |n| EventData::new(Uuid::from_u64_pair(n, !n), event_type.clone(), payload(n));
        let append = Append::to(stream, (first..first + BATCH).map(event));
        for reply in writer.step(vec![Job::append(append, &Options::default().limits)?]) {
            reply?;
        }
        for segment in writer.take_unindexed() {
            segment.write()?;
        }
    }
    Ok(writer.close()?)
}

fn measure(dir: &Path, what: &str) -> Result<(), Failure> {
    let world = World { disk: Arc::new(disk()), ..World::default() };
    let began = Instant::now();
    let (_writer, reader) = factum_log::open(dir, Options { world, ..Options::default() })?;
    let opened = began.elapsed().as_secs_f64() * 1e3;
    let head = reader.head().0;
    let all = rate(&reader, Read::query(Query::All))?;
    let stream = rate(&reader, Read::stream(StreamName::new("order-7")?))?;
    let began = Instant::now();
    for n in 0..SINGLE {
        let from = Some(1 + n.wrapping_mul(7_919_777) % head);
        let read = Read { from, limit: Some(1), ..Read::query(Query::All) };
        black_box(reader.read(read)?.cursor.next_batch()?.events.len());
    }
    let single = began.elapsed().as_secs_f64() / SINGLE as f64 * 1e6;
    println!(
        "{what:>12}: opened in {opened:.0} ms; events/s: everything {all:.0}, one stream \
         {stream:.0}; one event {single:.0} us"
    );
    Ok(())
}

/// Events a second, of a read that is done for a second at least.
fn rate(reader: &Reader, read: Read) -> Result<f64, Failure> {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed().as_secs_f64() < 1.0 {
        let mut cursor = reader.read(read.clone())?.cursor;
        loop {
            let batch = cursor.next_batch()?;
            count += black_box(batch.events).len();
            if batch.caught_up {
                break;
            }
        }
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
