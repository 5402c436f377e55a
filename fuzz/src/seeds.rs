//! The corpus that is checked in, made of what the engine itself writes and of what clients ask.

mod calls;

use crate::SEED;
use factum_core::StreamMetadata;
use factum_log::format::{
    frame::FrameHeader,
    header::{HEADER_BYTES, SegmentHeader},
};
use factum_sim::{
    disk::{Fs, SimDisk},
    model::Model,
    work::{Author, Session, Sizes, Stage, folder},
};

/// An input: of which target, its name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// Frames of one kind that are kept, at most.
const FRAMES_MAX: usize = 12;
/// Bytes of a segment that are kept, at most.
const SEGMENT_MAX: usize = 12_000;

/// Makes all of it anew.
#[must_use]
pub fn make() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for seed in 1..4 {
        of_store(seed, &mut seeds);
    }
    let jsons = [
        "",
        "{}",
        r#"{"$tb":9223372036854775807}"#,
        r#"{"$maxCount":2,"$maxAge":60,"team":["a",{"b":null}]}"#,
        r#"{"ke\"yé":1.5e3,"$acl":{"$r":["$all"]}}"#,
    ];
    for (nth, json) in jsons.iter().enumerate() {
        assert!(StreamMetadata::from_json(json.as_bytes()).is_ok(), "{json}");
        seeds.push(("metadata", format!("json-{nth}"), json.as_bytes().to_vec()));
    }
    calls::make(&mut seeds);
    seeds
}

fn of_store(seed: u64, seeds: &mut Vec<Seed>) {
    let mut author = Author::new(seed, Sizes::Many);
    let stage = Stage::new(SimDisk::new(Fs::default()), seed);
    let mut session = Session::open(&stage, Model::default()).expect("an empty disk");
    while session.bytes() < 80_000 {
        session = session.step(&author.step()).expect("nothing fails");
    }
    session.index().expect("nothing fails");
    drop(session);
    let fs = stage.disk.fs();
    for name in fs.list(&folder()).expect("the folder is there") {
        let bytes = fs.bytes(fs.find(&folder().join(&name)).expect("it was listed")).to_vec();
        if name.ends_with(".idx") {
            seeds.push(("index", format!("{seed}-{name}"), content(&bytes)));
        } else if name.ends_with(".log") {
            of_segment(&format!("{seed}-{name}"), &bytes, seeds);
        }
    }
}

/// An index file without its checksums, and with the seed that the target expects.
fn content(pages: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = pages.chunks(4096).flat_map(|page| &page[..4092]).copied().collect();
    content[16..24].copy_from_slice(&SEED.to_le_bytes());
    content
}

fn of_segment(name: &str, bytes: &[u8], seeds: &mut Vec<Seed>) {
    assert!(SegmentHeader::decode(bytes).is_ok());
    seeds.push(("header", name.to_owned(), bytes[..128].to_vec()));
    let mut at = HEADER_BYTES;
    let mut kept = 0;
    while let Some(header) = bytes.get(at..).and_then(FrameHeader::decode) {
        let frame = &bytes[at..at + header.frame_bytes()];
        if frame[..4] == [0; 4] {
            break;
        }
        if kept < FRAMES_MAX && frame.len() < 300 {
            kept += 1;
            seeds.push(("frame", format!("{name}-{at}"), frame.to_vec()));
            seeds.push(("body", format!("{name}-{at}"), frame.to_vec()));
        }
        if at + frame.len() > HEADER_BYTES + SEGMENT_MAX {
            break;
        }
        at += frame.len();
    }
    seeds.push(("segment", name.to_owned(), bytes[HEADER_BYTES..at].to_vec()));
}
