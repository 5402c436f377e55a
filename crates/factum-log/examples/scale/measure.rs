//! The parts of the measurement; each prints its lines.

use crate::{
    counting::CountingDisk,
    options,
    shape::{PAYLOAD, Settings, event, spread_stream},
};
use factum_core::{
    Append, Check, Direction, Expected, Limits, Position, Query, Read, StreamName, Tag,
};
use factum_log::{Job, Reader, Writer};
use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Instant};

/// Appends that share a sync while filling.
const GROUP: usize = 200;

fn job(append: Append) -> Job {
    Job::append(append, &Limits::default()).unwrap()
}

/// Has jobs done, and the index files written.
fn step(writer: &mut Writer, jobs: Vec<Job>) {
    writer.step(jobs).into_iter().for_each(|reply| drop(reply.unwrap()));
    writer.take_unindexed().iter().for_each(|one| one.write().unwrap());
}

/// Fills the folder, and says what it takes on disk.
pub(crate) fn fill(dir: &Path, settings: &Settings) {
    let start = Instant::now();
    let (mut writer, reader) =
        factum_log::open(dir, options(settings, CountingDisk::lazy())).unwrap();
    assert_eq!(reader.head(), Position::START, "the folder must be empty");
    let mut jobs = Vec::new();
    for append in settings.appends() {
        jobs.push(job(append));
        if jobs.len() == GROUP {
            step(&mut writer, std::mem::take(&mut jobs));
        }
    }
    step(&mut writer, jobs);
    writer.close().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let rate = settings.events as f64 / seconds;
    println!("{settings:?}");
    println!("fill: {seconds:.1} s, {rate:.0} events/s without syncs");
    println!("  {}", memory());
    drop((writer, reader));
    on_disk(dir, settings);
}

fn on_disk(dir: &Path, settings: &Settings) {
    let mut bytes = BTreeMap::<String, (u64, u64)>::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().map_or_else(String::new, |e| e.to_string_lossy().into());
        let of = bytes.entry(extension.clone()).or_default();
        of.0 += 1;
        of.1 += if extension == "log" { content(&path) } else { path.metadata().unwrap().len() };
    }
    let events = settings.events as f64;
    let total: u64 = bytes.values().map(|of| of.1).sum();
    let over = total as f64 / events - PAYLOAD as f64;
    println!("disk: {over:.1} bytes an event besides {PAYLOAD} of payload");
    for (extension, (count, bytes)) in bytes {
        let payload = if extension == "log" { PAYLOAD as f64 } else { 0.0 };
        let each = bytes as f64 / events - payload;
        println!("  {extension:6} {count:5} files, {each:6.1} bytes an event");
    }
}

/// The bytes up to the zeroes ahead of the writer.
fn content(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Forgets what the system holds of the files.
fn drop_cache(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut dd = Command::new("dd");
        dd.arg(format!("of={}", path.display()));
        dd.args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
        assert!(dd.status().unwrap().success());
    }
}

/// Memory besides the page cache.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    let fds = fs::read_dir("/proc/self/fd").unwrap().count();
    let (anon, peak) = (of("RssAnon"), of("VmHWM"));
    format!("memory {anon:.1} MiB, peak with code {peak:.1} MiB, {fds} open files")
}

/// How long this process has been on a CPU: what others take of a busy machine is not in it.
fn cpu_ms() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// Opens the folder with a cold page cache, and again warm.
pub(crate) fn open(dir: &Path, settings: &Settings) {
    drop_cache(dir);
    for what in ["cold", "warm"] {
        let disk = CountingDisk::default();
        let (start, cpu) = (Instant::now(), cpu_ms());
        let opened = factum_log::open(dir, options(settings, disk.clone())).unwrap();
        let (ms, cpu) = (start.elapsed().as_secs_f64() * 1000.0, cpu_ms() - cpu);
        let counted = disk.take();
        let (files, pages) = (counted.files(), counted.pages.len());
        println!("open {what}: {ms:.0} ms, {cpu:.0} of them CPU; {files} files, {pages} pages");
        println!("  {}", memory());
        drop(opened);
    }
}

fn all(reader: &Reader, read: Read) -> usize {
    let mut cursor = reader.read(read).unwrap().cursor;
    let mut count = 0;
    loop {
        let batch = cursor.next_batch().unwrap();
        count += batch.events.len();
        if batch.caught_up {
            return count;
        }
    }
}

/// Counts what each question touches: the first time, and again.
pub(crate) fn ask(dir: &Path, settings: &Settings) {
    drop_cache(dir);
    let disk = CountingDisk::default();
    let (mut writer, reader) = factum_log::open(dir, options(settings, disk.clone())).unwrap();
    disk.take();
    let middle = settings.stream(settings.events / 2);
    let last = |stream: &StreamName| Read {
        direction: Direction::Backward,
        limit: Some(1),
        ..Read::stream(stream.clone())
    };
    let query = Query::tag(Tag::new("mark:1").unwrap());
    let absent = StreamName::new("order-never").unwrap();
    for round in ["first", "again"] {
        let report = |what: &str, asked: &mut dyn FnMut() -> usize| {
            let start = Instant::now();
            let found = asked();
            let us = start.elapsed().as_secs_f64() * 1e6;
            let counted = disk.take();
            let (files, pages) = (counted.files(), counted.pages.len());
            let (reads, opens) = (counted.reads, counted.opens);
            println!(
                "{round} {what:34} {us:9.0} us, {found:5} found, {files:4} files, {pages:5} \
                 pages, {reads:5} reads, {opens:4} opens"
            );
        };
        report("the last event of a stream", &mut || all(&reader, last(&middle)));
        report("a stream that is not there", &mut || all(&reader, last(&absent)));
        report("20 events spread over the log", &mut || {
            all(&reader, Read::stream(spread_stream()))
        });
        report("20 events by their tag", &mut || all(&reader, Read::query(query.clone())));
        let write = |writer: &mut Writer, append: Append| writer.step(vec![job(append)]).len();
        let of_round = if round == "first" { 1 } else { 2 };
        let fresh = |n: u64| event(u64::MAX / 2 + n * 10 + of_round, None);
        let new = StreamName::new(&format!("order-new-{round}")).unwrap();
        report("append: a new stream", &mut || {
            write(&mut writer, Append::to(new.clone(), [fresh(1)]))
        });
        let stream = settings.stream(settings.events / 3 + of_round * 1000);
        report("append: a new id in an old stream", &mut || {
            write(&mut writer, Append::to(stream.clone(), [fresh(2)]))
        });
        report("append: a new id in a wide stream", &mut || {
            write(&mut writer, Append::to(spread_stream(), [fresh(3)]))
        });
        report("append: if no event has a tag", &mut || {
            let check = Check::NoMatch { query: query.clone(), after: Position(0) };
            write(&mut writer, Append::to(new.clone(), [fresh(4)]).checking(check))
        });
    }
    println!("  {}", memory());
}

/// Times single appends: with syncs, and the engine's own work alone.
pub(crate) fn append(dir: &Path, settings: &Settings) {
    for (what, disk) in [("with sync", CountingDisk::blind()), ("alone", CountingDisk::lazy())] {
        let (mut writer, reader) = factum_log::open(dir, options(settings, disk.clone())).unwrap();
        let salt = reader.head().0 << 20;
        for (nth, kind) in ["an old stream", "the same stream", "a new stream"].iter().enumerate() {
            let (mut times, mut besides) = (Vec::new(), Vec::new());
            for n in 0..2000u64 {
                let stream = match nth {
                    0 => settings.stream(n.wrapping_mul(15_485_863) % settings.events),
                    1 => spread_stream(),
                    _ => StreamName::new(&format!("fresh-{}", salt + n)).unwrap(),
                };
                let append =
                    Append::to(stream.clone(), [event(salt + nth as u64 * 4096 + n, None)]);
                let append = match nth {
                    2 => append.expecting(stream, Expected::NoStream),
                    _ => append,
                };
                let jobs = vec![job(append)];
                disk.take_sync_us();
                let start = Instant::now();
                step(&mut writer, jobs);
                let us = start.elapsed().as_secs_f64() * 1e6;
                times.push(us);
                besides.push(us - disk.take_sync_us());
            }
            let ((p50, p99), (own50, own99)) = (percentiles(times), percentiles(besides));
            println!(
                "append to {kind:16} {what:9}: p50 {p50:7.1} us, p99 {p99:7.1} us; \
                 besides the sync {own50:6.1} and {own99:6.1} us"
            );
        }
        println!("  {}", memory());
        writer.close().unwrap();
    }
}

/// The median, and what 99 of 100 are below.
fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0.0);
    (at(50), at(99))
}
