//! The nth call of a kind fails, for real: what is answered must be true, then and at the next
//! opening.
//!
//! Not here: writes that stop in the middle. `strace` can only pretend them, without the bytes
//! having been written; the simulated disk does them.

use crate::{
    aftermath::Aftermath,
    strace,
    worker::{Worker, arguments, program},
};
use factum_sim::rows::{Find, Meter};

/// Which calls fail, and how.
pub(super) const KINDS: [(&str, &str); 10] = [
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EINTR"),
    ("fdatasync,fsync", "EIO"),
    ("fdatasync,fsync", "ENOSPC"),
    ("openat", "EIO"),
    ("openat", "EMFILE"),
    ("rename,renameat,renameat2", "EIO"),
    ("pread64", "EIO"),
    ("pread64", "EINTR"),
];
const CALLS_MAX: u64 = 120;
pub(super) const CASES: u64 = KINDS.len() as u64 * CALLS_MAX;
/// Shares no factor with the number of calls.
const STRIDE: u64 = 47;

pub(super) fn case(number: u64, meter: &mut Meter) -> Result<(), Find> {
    meter.done += 1;
    let kinds = KINDS.len() as u64;
    let (calls, error) = KINDS[usize::try_from(number % kinds).expect("below 10")];
    let nth = 1 + number / kinds * STRIDE % CALLS_MAX;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let inject = format!("{calls}:error={error}:when={nth}");
    let command = strace::command(&inject, &program(), &arguments(folder.path(), number));
    let heard = Worker::run(command)?.rest();
    let aftermath = Aftermath { folder: folder.path(), seed: number, heard: &heard };
    aftermath.check().map_err(|find| format!("{error} of {calls} at call {nth}: {find}"))
}
