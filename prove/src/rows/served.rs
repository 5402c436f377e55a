//! `kill -9` at a call of the system, and calls that fail, of the server itself: the built `factum`
//! serves under `strace`, a client appends over the network and hears what is acknowledged, and the
//! folder must agree with that. The same work as of the process that has the engine in it.

use super::errors::KINDS;
use crate::{
    aftermath::Aftermath,
    server::{self, Server, program, runtime, serving},
    strace,
    work::{Said, work},
    worker::Heard,
};
use factum_core::AppendError;
use factum_sim::rows::{Find, Meter};

/// Calls that change what is on disk. Of the others a server makes so many before it serves that
/// the nth of a thread would be one of those.
const CALLS: &str = "pwrite64,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat,ftruncate";
/// Pieces of work.
const WORKS: u64 = 3;
/// The writer makes fewer calls for all of the work.
const CALLS_MAX: u64 = 140;
pub(super) const KILLS: u64 = WORKS * CALLS_MAX;
pub(super) const ERRORS: u64 = KINDS.len() as u64 * CALLS_MAX;
/// Shares no factor with the number of calls.
const STRIDE: u64 = 51;
/// Small segments, so that the work fills several.
const SETTINGS: &str = "[store]\nsegment_bytes = 65536\n";

pub(super) fn is_missing() -> Option<String> {
    server::is_missing().or_else(strace::is_missing)
}

/// The nth call of a thread is its last, and that of all others.
pub(super) fn kill_at_call(number: u64, meter: &mut Meter) -> Result<(), Find> {
    let (seed, nth) = (number % WORKS, 1 + number / WORKS * STRIDE % CALLS_MAX);
    let checked = check(seed, &format!("{CALLS}:signal=SIGKILL:when={nth}"), meter);
    checked.map_err(|find| format!("work {seed}, killed at call {nth}: {find}"))
}

pub(super) fn call_errors(number: u64, meter: &mut Meter) -> Result<(), Find> {
    let kinds = KINDS.len() as u64;
    let (calls, error) = KINDS[usize::try_from(number % kinds).expect("below 10")];
    let nth = 1 + number / kinds * STRIDE % CALLS_MAX;
    let checked = check(number, &format!("{calls}:error={error}:when={nth}"), meter);
    checked.map_err(|find| format!("{error} of {calls} at call {nth}: {find}"))
}

fn check(seed: u64, inject: &str, meter: &mut Meter) -> Result<(), Find> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let arguments = serving(folder.path(), SETTINGS)?;
    let command = strace::aside(inject, &program()?, &arguments);
    let heard = match Server::run(command) {
        Ok(server) => {
            meter.done += 1;
            talk(&server, seed)
        }
        // It died before it served: nothing was acknowledged.
        Err(_) => Heard::new(),
    };
    Aftermath { folder: &folder.path().join("data"), seed, heard: &heard }.check()
}

/// Appends, until the server is gone or everything is said.
fn talk(server: &Server, seed: u64) -> Heard {
    let _inside = runtime().enter();
    let mut heard = Heard::new();
    if let Ok(store) = runtime().block_on(server.client()) {
        work(&store, seed, |number, answer| {
            heard.insert(number, Said::of(&answer));
            !matches!(answer, Err(AppendError::Unknown { .. } | AppendError::Unavailable { .. }))
        });
    }
    heard
}
