//! However many segments there are, a look-up touches few files and pages; and what it finds is
//! what asking every segment would find, whatever derived files are there, missing or damaged.

#[path = "../../examples/scale/counting.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod counting;

use crate::tools::*;
use counting::CountingDisk;
use factum_core::{
    Append, Change, Check, Direction, EventData, EventType, Position, Query, Read, RecordedEvent,
    Select, StreamName, Tag,
};
use factum_log::{
    Job, Options, PageCache, Reader, World, Writer,
    rewrite::{ScavengeOptions, Stop},
    verify,
};
use std::{fs, path::Path, sync::Arc};

/// Segments as small as they get, merged two by two, hardly anything open or cached.
fn tiny() -> Options {
    Options {
        segment_bytes: 64 << 10,
        heads_max: 2,
        open_files_max: 4,
        index_pages: PageCache::new(0),
        index_fan_out: 2,
        ..Options::default()
    }
}

fn tagged(id: u128, tag: &str) -> EventData {
    event(id, "t", &"x".repeat(3000)).with_tags([Tag::new(tag).unwrap()])
}

fn step(writer: &mut Writer, job: Job) -> Position {
    let receipt = writer.step(vec![job]).pop().unwrap().unwrap();
    writer.take_unindexed().iter().for_each(|one| one.write().unwrap());
    receipt.position
}

/// Events over about `segments` segments: a stream and a tag for every seventh, some of all.
fn fill(dir: &Path, options: &Options, segments: u128) {
    fill_category(dir, options, (segments, "s"));
}

fn fill_category(dir: &Path, options: &Options, (segments, category): (u128, &str)) {
    let (mut writer, _reader) = open(dir, options);
    for n in 0..segments * 20 {
        let stream = match n % 50 {
            0 => "wide-1".to_owned(),
            _ => format!("{category}-{}", n / 7),
        };
        step(&mut writer, append(&stream, [tagged(n + 1, &format!("k:{}", n / 7))]));
    }
    writer.close().unwrap();
}

fn derived(dir: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// What a store says of streams, tags and ids, there or not.
fn answers(writer: &mut Writer, reader: &Reader) -> Vec<Vec<RecordedEvent>> {
    let mut found = Vec::new();
    for n in (0..90).step_by(7) {
        let stream = name(&format!("s-{n}"));
        let tag = Query::tag(Tag::new(&format!("k:{n}")).unwrap());
        let types = Query::types([factum_core::EventType::new("t").unwrap()]);
        let back = |read: Read| Read { direction: Direction::Backward, limit: Some(3), ..read };
        found.push(all(reader, Read::stream(stream.clone())));
        found.push(all(reader, back(Read::stream(stream))));
        found.push(all(reader, Read::query(tag.clone())));
        found.push(all(reader, back(Read::query(types))));
        let check = Check::NoMatch { query: tag, after: Position(0) };
        let judged = Append::to(name("never"), [event(u128::MAX, "t", "")]).checking(check);
        let refused = writer.step(vec![Job::append(judged, &Options::default().limits).unwrap()]);
        assert_eq!(refused[0].is_err(), n < 86, "{n}: {refused:?}");
    }
    found.push(all(reader, Read::stream(name("wide-1"))));
    found
}

/// A retry is answered as the first time, wherever the event is.
fn retries(writer: &mut Writer) {
    for n in (0..600u128).step_by(97) {
        let stream = if n % 50 == 0 { "wide-1".to_owned() } else { format!("s-{}", n / 7) };
        let again = append(&stream, [tagged(n + 1, &format!("k:{}", n / 7))]);
        assert_eq!(step(writer, again).0, u64::try_from(n).unwrap() + 1);
    }
}

#[test]
fn it_says_what_asking_every_segment_says_with_whatever_files_there_are() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &tiny(), 30);
    let report = verify::verify(dir.path(), &World::default(), &mut |_| true).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    let runs = derived(dir.path(), ".dir");
    assert!((2..8).contains(&runs.len()), "merged in levels: {runs:?}");
    let expected = {
        // Without a directory.
        runs.iter().for_each(|path| fs::rename(path, path.with_extension("away")).unwrap());
        let (mut writer, reader) = open(dir.path(), &tiny());
        answers(&mut writer, &reader)
    };
    let back = || {
        let away = |path: &std::path::PathBuf| path.with_extension("away");
        for path in &runs {
            fs::copy(away(path), path).unwrap();
        }
    };
    let check = |what: &str| {
        let (mut writer, reader) = open(dir.path(), &tiny());
        assert_eq!(answers(&mut writer, &reader), expected, "{what}");
        retries(&mut writer);
    };
    back();
    check("whole");
    for (nth, run) in runs.iter().enumerate() {
        back();
        fs::remove_file(run).unwrap();
        fs::remove_file(&derived(dir.path(), ".idx")[nth * 3]).unwrap();
        check(&format!("without the directory's file {nth}"));
        // Each page in turn.
        let pages = fs::metadata(run.with_extension("away")).unwrap().len() / 4096;
        for page in 0..pages {
            back();
            let mut bytes = fs::read(run).unwrap();
            bytes[usize::try_from(page * 4096 + 40 + page % 1000).unwrap()] ^= 4;
            fs::write(run, bytes).unwrap();
            check(&format!("page {page} of {} damaged", run.display()));
        }
    }
}

/// A run is of the segments that it was made of: one of another store, under the right name, says
/// nothing here.
#[test]
fn a_run_of_another_store_is_not_believed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(one.path(), &tiny(), 8);
    fill_category(other.path(), &tiny(), (8, "z"));
    let names = |dir: &Path| -> Vec<_> {
        derived(dir, ".dir").iter().map(|path| path.file_name().unwrap().to_owned()).collect()
    };
    assert_eq!(names(one.path()), names(other.path()), "both are filled alike");
    for path in derived(one.path(), ".dir") {
        fs::copy(&path, other.path().join(path.file_name().unwrap())).unwrap();
    }
    let (_writer, reader) = open(other.path(), &tiny());
    for n in 0..8 * 20 / 7 {
        assert!(all(&reader, Read::stream(name(&format!("z-{n}")))).len() > 5, "{n}");
    }
}

/// Superfluous runs, as a crash leaves them, are found and removed.
#[test]
fn what_a_merge_left_behind_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &tiny(), 9);
    let runs = derived(dir.path(), ".dir");
    let large = runs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let (first, last) = (large.file_name().unwrap().to_str().unwrap()[..20].to_owned(), "9");
    // A smaller one inside of it, one of segments that are not there, one that is not whole.
    fs::copy(large, dir.path().join(format!("{first}-{first}.dir"))).unwrap();
    fs::copy(large, dir.path().join(format!("{first}-{last:0>20}.dir"))).unwrap();
    fs::write(dir.path().join(format!("{first}-{last}.dir.tmp")), "half").unwrap();
    drop(open(dir.path(), &tiny()));
    assert_eq!(derived(dir.path(), ".dir"), runs);
    assert!(derived(dir.path(), ".tmp").is_empty());
}

/// What a question touched, of files and pages.
fn touched(disk: &CountingDisk, ask: impl FnOnce()) -> (usize, usize) {
    disk.take();
    ask();
    let counted = disk.take();
    (counted.files(), counted.pages.len())
}

#[test]
fn however_many_segments_there_are_few_files_and_pages_are_touched() {
    let mut of_size = Vec::new();
    for segments in [16, 128] {
        let dir = tempfile::tempdir().unwrap();
        let disk = CountingDisk::default();
        let world = World { disk: Arc::new(disk.clone()), ..World::default() };
        let options = Options { world, index_fan_out: 4, ..tiny() };
        fill(dir.path(), &options, segments);
        let (mut writer, reader) = open(dir.path(), &options);
        let absent: StreamName = name("never-1");
        let old = name("s-3");
        let mut append_to = |stream: &str, id| {
            let job = append(stream, [event(id, "t", "x")]);
            writer.step(vec![job]).pop().unwrap().unwrap();
        };
        let tag = Query::tag(Tag::new("k:9").unwrap());
        let found = [
            touched(&disk, || assert_eq!(all(&reader, Read::stream(old)).len(), 7)),
            touched(&disk, || assert!(all(&reader, Read::stream(absent)).is_empty())),
            touched(&disk, || assert_eq!(all(&reader, Read::query(tag)).len(), 7)),
            touched(&disk, || append_to("never-2", 1 << 70)),
            touched(&disk, || append_to("s-5", 1 << 71)),
            touched(&disk, || append_to("wide-1", 1 << 72)),
        ];
        of_size.push((fs::read_dir(dir.path()).unwrap().count(), found));
    }
    let ((files, few), (more_files, many)) = (of_size[0], of_size[1]);
    assert!(more_files > files * 6, "{files} and {more_files} files");
    for ((files, pages), (more_files, more_pages)) in few.into_iter().zip(many) {
        // At most three runs and three segments more for four times the segments.
        let most = files + 12;
        assert!(more_files <= most && more_files < 24, "{files} and then {more_files} files");
        assert!(more_pages <= pages + 36 && more_pages < 80, "{pages}, then {more_pages} pages");
    }
}

/// Segments are rewritten under a run that knows the old ones: what is new in them, the type of
/// emptied places, is found, now and at the next opening.
#[test]
fn a_scavenge_under_a_run_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &tiny(), 12);
    let (mut writer, reader) = open(dir.path(), &tiny());
    assert!(!derived(dir.path(), ".dir").is_empty());
    let all_streams = || (1..30).map(|n| format!("s-{n}")).chain(["wide-1".to_owned()]);
    let of = |reader: &Reader, stream: &str| {
        let read = Read::select(Select::Stream(name(stream)));
        (reader.read(read.clone()).unwrap().state, all(reader, read))
    };
    let gone = ["s-2", "s-9", "s-20"];
    for stream in gone {
        let limits = Options::default().limits;
        let delete = Job::change(name(stream), Change::Delete, None, &limits).unwrap();
        step(&mut writer, delete);
    }
    let before: Vec<_> = all_streams().map(|stream| of(&reader, &stream)).collect();
    let options = ScavengeOptions { grace_s: 0, threshold_percent: 0, ..Default::default() };
    let report = reader.maintenance().scavenge(&options, &Stop::default(), &mut |_| {}).unwrap();
    assert!(report.segments_rewritten >= 3, "{report:?}");
    let check = |reader: &Reader| {
        let after: Vec<_> = all_streams().map(|stream| of(reader, &stream)).collect();
        assert_eq!(after, before);
        let emptied = Query::types([EventType::new("$scavenged").unwrap()]);
        let emptied = all(reader, Read::query(emptied));
        let mut streams: Vec<&str> = emptied.iter().map(|one| one.stream().as_str()).collect();
        streams.sort_unstable();
        assert_eq!(streams, ["s-2", "s-20", "s-9"]);
        for n in 1..30 {
            let tag = Tag::new(&format!("k:{n}")).unwrap();
            let stream = format!("s-{n}");
            let left = all(reader, Read::query(Query::tag(tag)));
            let left = left.iter().filter(|event| event.stream().as_str() == stream).count();
            assert_eq!(left, of(reader, &stream).1.len(), "{stream}");
        }
    };
    check(&reader);
    drop((writer, reader));
    let (_writer, reader) = open(dir.path(), &tiny());
    check(&reader);
}
