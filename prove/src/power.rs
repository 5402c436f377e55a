//! The one place of this package that is not safe: the call that shuts a file system down as if its
//! power went.
#![allow(unsafe_code, reason = "a call of the system that no library has a name for")]

use rustix::ioctl::{Setter, ioctl, opcode};
use std::{fs::File, io, path::Path};

/// `EXT4_IOC_SHUTDOWN`, also of XFS and F2FS.
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
/// What is in the journal is not written out: with it the file system would be as after a sync.
const NO_LOG_FLUSH: u32 = 2;

/// Has the file system of this folder stop: nothing that is not durable will be.
pub(crate) fn cut(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    // SAFETY: the number is that of a call that takes a pointer to 32 bits and reads them, which is
    // what `Setter` of a `u32` hands over; it changes no memory of ours.
    unsafe { ioctl(&folder, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_what_the_kernel_knows() {
        assert_eq!(SHUTDOWN, 0x8004_587d);
    }
}
