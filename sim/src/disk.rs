//! A disk in memory, behind the engine's one door to the disk.
//!
//! It keeps apart what programs see (the cache) and what survives a power cut: each write, length,
//! create, rename and remove that was not made durable may be kept, lost or torn on its own, a
//! sector at a time. It counts calls, fails the one it is told to, and records what it was asked,
//! so that the disk at any moment of a run can be had again without running anything.

mod crash;
mod fault;
mod fs;
#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultKind};
pub use fs::{Fs, Ino, Op};

use factum_log::disk::{Disk, File, Mode};
use fault::Call;
use std::{
    any::Any,
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes that are written whole or not at all.
pub const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct State {
    fs: Fs,
    trace: Option<Vec<Op>>,
    fault: Option<Fault>,
    locks: BTreeSet<PathBuf>,
}

impl State {
    fn apply(&mut self, op: Op) {
        self.fs.apply(&op);
        if let Some(trace) = &mut self.trace {
            trace.push(op);
        }
    }

    /// What the fault that is due at this call says; counts the call.
    fn due(&mut self, call: Call) -> Option<FaultKind> {
        self.fault.as_mut()?.meet(call)
    }

    fn meet(&mut self, call: Call) -> io::Result<()> {
        self.due(call).map_or(Ok(()), |kind| Err(kind.error()))
    }
}

/// A simulated disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// A disk with these contents.
    #[must_use]
    pub fn new(fs: Fs) -> Self {
        Self(Arc::new(Mutex::new(State { fs, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records from now on every call that changes something or makes it durable.
    pub fn record(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// How much has been recorded.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.state().trace.as_ref().map_or(0, Vec::len)
    }

    /// What has been recorded.
    #[must_use]
    pub fn take_trace(&self) -> Vec<Op> {
        self.state().trace.take().unwrap_or_default()
    }

    /// The disk as it is now, with what is not durable yet.
    #[must_use]
    pub fn fs(&self) -> Fs {
        self.state().fs.clone()
    }

    /// Looks at the disk.
    pub fn with_fs<T>(&self, look: impl FnOnce(&mut Fs) -> T) -> T {
        look(&mut self.state().fs)
    }

    /// Has a later call fail.
    pub fn arm(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Takes the fault back; whether it had struck.
    pub fn disarm(&self) -> bool {
        self.state().fault.take().is_some_and(|fault| fault.struck())
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meet(Call::Other)?;
        state.apply(Op::CreateDir(dir.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.meet(Call::Other)?;
        state.fs.list(dir).ok_or_else(not_found)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.meet(Call::Open)?;
        if mode == Mode::Create {
            let op = match state.fs.find(path) {
                Some(ino) => Op::Truncate(ino),
                None => Op::Create(path.to_owned()),
            };
            state.apply(op);
        }
        let ino = state.fs.find(path).ok_or_else(not_found)?;
        Ok(Box::new(SimFile { disk: self.clone(), ino }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meet(Call::Rename)?;
        state.fs.find(from).ok_or_else(not_found)?;
        state.apply(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meet(Call::Other)?;
        state.fs.find(from).ok_or_else(not_found)?;
        if state.fs.find(to).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.apply(Op::Link(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meet(Call::Other)?;
        state.fs.find(path).ok_or_else(not_found)?;
        state.apply(Op::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Some(kind) = state.due(Call::SyncDir) {
            return Err(kind.error());
        }
        state.apply(Op::SyncDir(dir.to_owned()));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.state();
        state.meet(Call::Other)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Guard { disk: self.clone(), path: path.to_owned() }))
    }
}

struct Guard {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    ino: Ino,
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.meet(Call::Read)?;
        Ok(state.fs.bytes(self.ino).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.meet(Call::Read)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = state.fs.bytes(self.ino).get(from..).unwrap_or_default();
        let bytes = bytes.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.due(Call::Write) {
            None => {
                state.apply(Op::Write(self.ino, offset, bytes.into()));
                Ok(())
            }
            Some(FaultKind::Garble) => {
                let mut garbled = bytes.to_vec();
                if let Some(byte) = garbled.get_mut(bytes.len() / 2) {
                    *byte ^= 1;
                }
                state.apply(Op::Write(self.ino, offset, garbled.into()));
                Ok(())
            }
            Some(kind) => {
                let kept = kind.short(bytes.len());
                if kept > 0 {
                    state.apply(Op::Write(self.ino, offset, bytes[..kept].into()));
                }
                Err(kind.error())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(kind) = state.due(Call::Sync) {
            if kind == FaultKind::SyncDrops {
                state.apply(Op::Drop(self.ino));
            }
            return Err(kind.error());
        }
        state.apply(Op::Sync(self.ino));
        Ok(())
    }
}
