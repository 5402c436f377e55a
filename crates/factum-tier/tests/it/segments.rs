//! A store whose segments are in a bucket: read, written to, verified, fetched back.

use crate::emulator::Emulator;
use factum_core::{
    Append, EventData, EventType, Position, Query, Read, ReadError, StreamName, Uuid,
};
use factum_log::{
    Job, Options, Reader, World, Writer,
    disk::OsDisk,
    tier::{ColdStore, Keep, TierDisk, TierOptions},
};
use std::{path::Path, sync::Arc};

const NOTHING: Keep = Keep { bytes: 0, segments: 0 };

fn open(dir: &Path, tier: &TierDisk) -> (Writer, Reader) {
    let world = World { disk: Arc::new(tier.clone()), ..World::default() };
    factum_log::open(dir, Options { world, segment_bytes: 64 << 10, ..Options::default() }).unwrap()
}

fn append(writer: &mut Writer, id: u128) {
    let data = format!("\"{}\"", "x".repeat(5_000));
    let event = EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), data);
    let append = Append::to(StreamName::new("a-1").unwrap(), [event]);
    let job = Job::append(append, &Options::default().limits).unwrap();
    writer.step(vec![job]).remove(0).unwrap();
    writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
}

fn positions(reader: &Reader) -> Result<Vec<Position>, ReadError> {
    let mut cursor = reader.read(Read::query(Query::All))?.cursor;
    let mut positions = Vec::new();
    loop {
        let batch = cursor.next_batch()?;
        positions.extend(batch.events.iter().map(factum_core::RecordedEvent::position));
        if batch.caught_up {
            return Ok(positions);
        }
    }
}

#[test]
fn a_store_lives_with_its_segments_in_a_bucket() {
    let Some(emulator) = Emulator::start("segments::a_store_lives") else { return };
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(emulator.tier("segments"));
    let tier = TierDisk::new(Arc::new(OsDisk), storage.clone(), TierOptions::default());
    let (mut writer, reader) = open(dir.path(), &tier);
    (1..=60).for_each(|id| append(&mut writer, id));
    let moved = tier.move_out(dir.path(), NOTHING, &mut || true).unwrap();
    assert!(moved.segments > 3);
    assert_eq!(storage.list().unwrap().len(), moved.segments);
    (61..=70).for_each(|id| append(&mut writer, id));
    let all: Vec<_> = (1..=70).map(Position).collect();
    assert_eq!(positions(&reader).unwrap(), all);
    writer.close().unwrap();
    drop((writer, reader));
    let (writer, reader) = open(dir.path(), &tier);
    assert_eq!(positions(&reader).unwrap(), all);
    assert!(reader.verify(&mut |_| true).unwrap().findings.is_empty());
    drop((writer, reader));
    assert_eq!(tier.fetch_back(dir.path(), &mut || true).unwrap().segments, moved.segments);
    drop(emulator);
    let (_writer, reader) = factum_log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(positions(&reader).unwrap(), all, "it needs no bucket any more");
}

#[test]
fn while_the_bucket_is_out_of_reach_reads_say_so_and_appends_go_on() {
    let Some(emulator) = Emulator::start("segments::while_the_bucket") else { return };
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(emulator.tier("segments"));
    let tier = TierDisk::new(Arc::new(OsDisk), storage, TierOptions::default());
    let (mut writer, reader) = open(dir.path(), &tier);
    (1..=60).for_each(|id| append(&mut writer, id));
    tier.move_out(dir.path(), NOTHING, &mut || true).unwrap();
    drop(emulator);
    let error = positions(&reader).unwrap_err();
    let ReadError::Unavailable { why } = &error else { panic!("{error}") };
    assert!(why.contains("does not answer") && why.contains("s3://segments/of/tests"), "{why}");
    append(&mut writer, 61);
    assert_eq!(reader.head(), Position(61));
}
