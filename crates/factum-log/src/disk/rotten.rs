//! A read that fails because of what is stored, and not because of the disk: the bytes that are
//! there are not those that were written.

use std::{io, ops::Range, path::PathBuf};

/// Where a stored file is not what it was, and which bytes of the segment it held are lost by that.
#[derive(thiserror::Error, Debug, Clone)]
#[error("{} at offset {offset}: it is damaged", file.display())]
pub(crate) struct Rotten {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    /// Bytes of the segment.
    pub(crate) lost: Range<u64>,
}

impl Rotten {
    #[cfg(feature = "zstd")]
    pub(crate) fn new(file: &std::path::Path, offset: u64, lost: Range<u64>) -> Self {
        Self { file: file.to_owned(), offset, lost }
    }

    /// What an error of a read says, if it is this.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Rotten> for io::Error {
    fn from(rotten: Rotten) -> Self {
        Self::new(io::ErrorKind::InvalidData, rotten)
    }
}
