//! Errors that a disk gives when it is told to: which, and at which call.

use std::io;

/// What a call is, for choosing which one fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Read,
    Write,
    Sync,
    SyncDir,
    Open,
    Rename,
    Other,
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// Any call: a broken device. A write that fails has written nothing.
    Eio,
    /// A call that takes space: the disk is full. Half of a write was written.
    Enospc,
    /// Any call is interrupted.
    Eintr,
    /// A write stops in the middle, with an error of the device.
    ShortWrite,
    /// A sync fails, and the cache forgets what was to be written: some of it is, some is not.
    SyncDrops,
    /// This call fails, and every one after it: the power is off.
    PowerOff,
    /// A write stores one bit that is wrong, and says that it did well.
    Garble,
}

impl FaultKind {
    /// All that say so.
    pub const ALL: [Self; 6] =
        [Self::Eio, Self::Enospc, Self::Eintr, Self::ShortWrite, Self::SyncDrops, Self::PowerOff];

    fn applies_to(self, call: Call) -> bool {
        match self {
            Self::Eio | Self::Eintr | Self::PowerOff => true,
            Self::Enospc => !matches!(call, Call::Read),
            Self::ShortWrite | Self::Garble => call == Call::Write,
            Self::SyncDrops => call == Call::Sync,
        }
    }

    pub(super) fn error(self) -> io::Error {
        // Numbers of Linux, which the standard library maps to kinds.
        match self {
            Self::Enospc => io::ErrorKind::StorageFull.into(),
            Self::Eintr => io::ErrorKind::Interrupted.into(),
            Self::Eio | Self::ShortWrite | Self::SyncDrops => io::Error::other("simulated EIO"),
            Self::PowerOff => io::Error::other("the power is off"),
            Self::Garble => unreachable!("it does not fail"),
        }
    }

    /// How much of a failed write of this length was written.
    pub(super) fn short(self, len: usize) -> usize {
        match self {
            Self::ShortWrite | Self::Enospc => len / 2,
            _ => 0,
        }
    }
}

/// A failure to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    kind: FaultKind,
    /// Calls that it applies to and that still succeed.
    left: u64,
    struck: bool,
}

impl Fault {
    /// The `nth` call (from 1) that this kind applies to fails.
    #[must_use]
    pub fn at(kind: FaultKind, nth: u64) -> Self {
        Self { kind, left: nth - 1, struck: false }
    }

    pub(super) fn struck(&self) -> bool {
        self.struck
    }

    pub(super) fn meet(&mut self, call: Call) -> Option<FaultKind> {
        if self.struck {
            return (self.kind == FaultKind::PowerOff).then_some(self.kind);
        }
        if !self.kind.applies_to(call) {
            return None;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                None
            }
            None => {
                self.struck = true;
                Some(self.kind)
            }
        }
    }
}
