//! The fuzz targets' bodies: each decoder of stored bytes, and each request that the server reads,
//! on any bytes at all. None may panic, read outside of its bytes, or run for ever.
//!
//! `cargo fuzz run NAME` (with a nightly compiler) goes on for ever; `cargo test` replays the
//! corpus that is checked in, and mutates it for a moment, on the stable one, and `cargo xtask
//! prove fuzz` mutates it for as long as it is given, and keeps the ledger. Checksums are put
//! right before bytes are decoded, or nothing behind them would ever be reached.

pub mod mutate;
pub mod seeds;

use factum_core::{Item, Query, Read, Select, StreamMetadata, StreamName};
use factum_log::{
    disk::{Disk, Mode},
    format::{
        frame::{self, FrameHeader, FramePlace},
        header::{HEADER_BYTES, SegmentHeader},
    },
    fuzzing,
};
use factum_sim::{
    check,
    disk::{Fs, Op, SimDisk},
    work::{Stage, folder},
};

/// A target: its name, which is its folder in the corpus too, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("frame", frame),
    ("header", header),
    ("body", body),
    ("segment", segment),
    ("index", index),
    ("metadata", metadata),
    ("call", call),
];

/// The seed of every segment here.
pub const SEED: u64 = 9;

/// A frame, with whatever checksum it has, and with the right one.
pub fn frame(data: &[u8]) {
    let place = FramePlace { seed: SEED, offset: 4096 };
    let _ = frame::decode(data, place);
    let mut data = data.to_vec();
    let Some(header) = sealed(&mut data, place) else { return };
    let (again, body) = frame::decode(&data, place).expect("its checksum is right");
    assert_eq!((again, body.len()), (header, header.len as usize));
}

/// Gives the frame at the front the right checksum; its head, if it is one.
fn sealed(bytes: &mut [u8], place: FramePlace) -> Option<FrameHeader> {
    let header = FrameHeader::decode(bytes)?;
    header.seal(bytes.get_mut(..header.frame_bytes())?, place);
    Some(header)
}

/// The head of a segment.
pub fn header(data: &[u8]) {
    let mut bytes = data.to_vec();
    let _ = SegmentHeader::decode(&bytes);
    bytes.resize(HEADER_BYTES, 0);
    if let Ok(header) = SegmentHeader::decode(&bytes) {
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header), "it comes back");
    }
}

/// The body of a frame: the first bytes are its head's.
pub fn body(data: &[u8]) {
    let Some(header) = FrameHeader::decode(data) else { return };
    let rest = data.get(header.head_bytes()..).unwrap_or_default();
    let _ = fuzzing::carry(rest);
    let _ = fuzzing::body(&header, rest);
}

/// The frames of a segment, each with the right checksum: the folder is opened, and all is read.
pub fn segment(data: &[u8]) {
    let header = SegmentHeader {
        store: factum_core::Uuid::from_u128(1),
        number: 1,
        base: 1,
        floor_ns: i64::MIN,
        features: 0,
        seed: SEED,
        origin: SEED,
    };
    let mut bytes = header.encode();
    bytes.extend_from_slice(data);
    let mut at = HEADER_BYTES;
    while let Some(rest) = bytes.get_mut(at..) {
        let place = FramePlace { seed: SEED, offset: at as u64 };
        let Some(header) = sealed(rest, place) else { break };
        at += header.frame_bytes();
    }
    let disk = SimDisk::new(with_file("00000000000000000001.log", &bytes));
    let stage = Stage::new(disk, 1);
    let Ok((_writer, reader)) = stage.open() else { return };
    let all = check::read(&reader, Read::query(Query::All));
    for stream in check::streams(&all.events).into_iter().take(4) {
        let _ = check::read(&reader, Read::select(Select::Stream(stream.clone())));
        let _ = reader.metadata(&stream);
    }
}

fn with_file(name: &str, bytes: &[u8]) -> Fs {
    let mut fs = Fs::default();
    fs.apply(&Op::CreateDir(folder()));
    fs.apply(&Op::Create(folder().join(name)));
    let ino = fs.find(&folder().join(name)).expect("it was created");
    fs.apply(&Op::Write(ino, 0, bytes.into()));
    fs
}

/// The content of an index file, with the right checksums.
pub fn index(data: &[u8]) {
    let name = "00000000000000000001.idx";
    let disk = SimDisk::new(with_file(name, &fuzzing::pages(data, SEED)));
    let Ok(file) = disk.open(&folder().join(name), Mode::Read) else { return };
    let stream = StreamName::new("a-1").expect("a name");
    let item = Item { categories: vec!["a".into()], ..Item::default() };
    let _ = fuzzing::index(file, SEED, &stream, &item.into());
}

/// The metadata of a stream.
pub fn metadata(data: &[u8]) {
    let Ok(read) = StreamMetadata::from_json(data) else { return };
    let again = StreamMetadata::from_json(read.to_json().as_bytes());
    assert_eq!(again.as_ref(), Ok(&read), "what was accepted is written so that it is accepted");
}

/// A call of any protocol: its path, its `grpc-timeout` and its body, as a connection brings them.
pub fn call(data: &[u8]) {
    let _ = factum_server::fuzzing::call(data);
}
