//! What survives a power cut, and what a fault does: the simulation must be no kinder than a disk.

use super::*;
use crate::dice::Dice;

const DIR: &str = "/d";
const FILE: &str = "/d/f";

fn written(sync: bool, sync_dir: bool) -> SimDisk {
    let disk = SimDisk::default();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.open(Path::new(FILE), Mode::Create).unwrap();
    file.write_at(&[1; 2000], 0).unwrap();
    if sync {
        file.sync().unwrap();
    }
    if sync_dir {
        disk.sync_dir(Path::new(DIR)).unwrap();
    }
    disk
}

/// What of the file is there after each of many cuts: `None` without a name.
fn after(disk: &SimDisk) -> Vec<Option<Vec<u8>>> {
    let cut = |seed| disk.fs().cut(&mut Dice::new(seed));
    let found = |fs: Fs| Some(fs.bytes(fs.find(Path::new(FILE))?).to_vec());
    (0..200).map(cut).map(found).collect()
}

#[test]
fn what_was_made_durable_is_always_there() {
    assert!(after(&written(true, true)).iter().all(|file| *file == Some(vec![1; 2000])));
}

#[test]
fn a_name_that_was_not_made_durable_is_sometimes_lost() {
    let files = after(&written(true, false));
    assert!(files.iter().any(Option::is_none) && files.iter().any(Option::is_some));
    assert!(files.iter().flatten().all(|bytes| *bytes == [1; 2000]));
}

#[test]
fn bytes_that_were_not_made_durable_are_kept_lost_and_torn_by_sectors() {
    let files = after(&written(false, true));
    let sizes: BTreeSet<usize> = files.iter().flatten().map(Vec::len).collect();
    assert_eq!(sizes, BTreeSet::from([0, 2000]), "the length is kept or lost");
    let ones = |bytes: &Vec<u8>| bytes.iter().filter(|byte| **byte == 1).count();
    let kept: BTreeSet<usize> = files.iter().flatten().map(ones).collect();
    assert!(kept.contains(&512) && kept.contains(&2000) && kept.contains(&(2000 - 512)));
    assert!(kept.iter().all(|kept| kept % 512 == 0 || (kept + 48) % 512 == 0), "{kept:?}");
}

#[test]
fn a_folder_that_was_not_made_durable_takes_its_files_with_it() {
    let disk = SimDisk::default();
    disk.create_dir(Path::new(DIR)).unwrap();
    let file = disk.open(Path::new(FILE), Mode::Create).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!(after(&disk).iter().any(Option::is_none));
}

#[test]
fn what_a_failed_sync_dropped_no_later_sync_brings_back() {
    let disk = written(true, true);
    let file = disk.open(Path::new(FILE), Mode::Write).unwrap();
    file.write_at(&[2; 2048], 0).unwrap();
    disk.arm(Fault::at(FaultKind::SyncDrops, 1));
    file.sync().unwrap_err();
    assert!(disk.disarm());
    file.sync().unwrap();
    let mut cached = [0; 2048];
    file.read_at(&mut cached, 0).unwrap();
    assert_eq!(cached, [2; 2048], "a program sees what it wrote");
    let lost = |file: &Option<Vec<u8>>| file.as_ref().is_some_and(|bytes| bytes.contains(&1));
    assert!(after(&disk).iter().all(lost));
}

#[test]
fn the_nth_call_fails_once_and_without_power_all_do() {
    let disk = written(true, true);
    let file = disk.open(Path::new(FILE), Mode::Read).unwrap();
    disk.arm(Fault::at(FaultKind::Eio, 2));
    assert!(file.len().is_ok() && file.len().is_err() && file.len().is_ok());
    disk.arm(Fault::at(FaultKind::PowerOff, 2));
    assert!(file.len().is_ok() && file.len().is_err() && file.len().is_err());
    assert!(disk.disarm() && file.len().is_ok());
}
