//! Segments moved to object storage and fetched back, and the power cut at each call of it: no
//! event is missing, the store stays writable, and what was begun is ended.

use super::{
    Find, Meter,
    cuts::{self, Walk},
};
use crate::{
    check,
    disk::{Fs, Op, SimDisk},
    work::{Stage, closed, folder},
};
use factum_core::RecordedEvent;
use factum_log::{
    Options, World,
    disk::File,
    tier::{ColdError, ColdStore, Keep, TierDisk, TierOptions},
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of a history: four segments of 64 KiB or so.
const BYTES: u64 = 240_000;
/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 3;
/// Everything but the newest segment goes.
const NOTHING: Keep = Keep { bytes: 0, segments: 0 };

/// An object, and after how many calls of the disk it was stored.
type Object = (Vec<u8>, usize);

/// Object storage that keeps what it was given, and knows when that was.
#[derive(Debug)]
struct Storage {
    disk: SimDisk,
    objects: Mutex<BTreeMap<String, Object>>,
}

impl Storage {
    fn new(disk: SimDisk, objects: BTreeMap<String, Object>) -> Arc<Self> {
        Arc::new(Self { disk, objects: Mutex::new(objects) })
    }

    /// What was there after so many calls.
    fn after(&self, calls: usize) -> BTreeMap<String, Object> {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone();
        objects.retain(|_, (_, stored)| *stored <= calls);
        objects
    }
}

impl ColdStore for Storage {
    fn location(&self) -> &str {
        "sim://storage"
    }

    fn put(&self, key: &str, file: &dyn File, len: u64) -> Result<(), ColdError> {
        let mut bytes = vec![0; usize::try_from(len).expect("a segment is small here")];
        let read = file.read_at(&mut bytes, 0);
        read.map_err(|error| ColdError::Refused { why: error.to_string().into() })?;
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(key.to_owned(), (bytes, self.disk.recorded()));
        Ok(())
    }

    fn get(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, ColdError> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, _) = objects.get(key).ok_or(ColdError::Gone)?;
        let at = |place| usize::try_from(place).expect("a segment is small here");
        Ok(bytes.get(at(range.start)..at(range.end)).unwrap_or_default().to_vec())
    }

    fn list(&self) -> Result<Vec<(String, u64)>, ColdError> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(objects.iter().map(|(key, (bytes, _))| (key.clone(), bytes.len() as u64)).collect())
    }

    fn delete(&self, key: &str) -> Result<(), ColdError> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }
}

/// A store moved out, opened, and fetched back, without a cut.
struct Ran {
    base: Fs,
    trace: Vec<Op>,
    storage: Arc<Storage>,
    events: Vec<RecordedEvent>,
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let ran = run(seed)?;
    meter.done += 1;
    let walk = Walk { seed, disk: ran.base.clone(), trace: &mut ran.trace.iter(), ways: CUTS };
    cuts::each(walk, meter, |_| true, |at| ran.check(at.cut_or_ended(), at.calls, at.seed))
}

fn run(seed: u64) -> Result<Ran, Find> {
    let (stage, events) = closed(seed, BYTES)?;
    if !seed.is_multiple_of(2) {
        stage.compress().map_err(|error| format!("compressing: {error}"))?;
    }
    let base = stage.disk.fs();
    stage.disk.record();
    let storage = Storage::new(stage.disk.clone(), BTreeMap::new());
    let tier = tier(&stage, &storage);
    let moved = move_out(&tier)?;
    if moved == 0 {
        return Err("nothing was moved".into());
    }
    whole(&stage, &tier, &events).map_err(|find| format!("moved out: {find}"))?;
    let fetched = tier.fetch_back(&folder(), &mut || true);
    let fetched = fetched.map_err(|error| format!("fetching: {error}"))?.segments;
    if fetched != moved {
        return Err(format!("{moved} segments were moved, and {fetched} fetched back"));
    }
    Ok(Ran { base, trace: stage.disk.take_trace(), storage, events })
}

fn tier(stage: &Stage, storage: &Arc<Storage>) -> TierDisk {
    let options = TierOptions { cache_bytes_max: 1 << 20, clock: stage.clock.clone() };
    TierDisk::new(Arc::new(stage.packed().clone()), storage.clone(), options)
}

fn move_out(tier: &TierDisk) -> Result<usize, Find> {
    let moved = tier.move_out(&folder(), NOTHING, &mut || true);
    Ok(moved.map_err(|error| format!("moving: {error}"))?.segments)
}

/// Opens the store through a tier; it must be writable and have all events.
fn whole(stage: &Stage, tier: &TierDisk, events: &[RecordedEvent]) -> Result<(), Find> {
    let world = World { disk: Arc::new(tier.clone()), ..stage.world() };
    let opened = factum_log::open(&folder(), Options { world, ..stage.options() });
    let (writer, reader) = opened.map_err(|error| format!("opening: {error}"))?;
    if let Some(why) = writer.read_only() {
        return Err(format!("opened to read only: {why}"));
    }
    let found = check::everything(&reader)?;
    if found != events {
        return Err(format!("{} events are there, and not {}", found.len(), events.len()));
    }
    Ok(())
}

impl Ran {
    /// The disk after a cut, with the objects that had been stored by then.
    fn check(&self, image: Fs, calls: usize, seed: u64) -> Result<(), Find> {
        let stage = Stage::new(SimDisk::new(image), seed);
        let storage = Storage::new(stage.disk.clone(), self.storage.after(calls));
        let tier = tier(&stage, &storage);
        whole(&stage, &tier, &self.events)?;
        move_out(&tier).map_err(|find| format!("again: {find}"))?;
        whole(&stage, &tier, &self.events).map_err(|find| format!("moved again: {find}"))
    }
}
