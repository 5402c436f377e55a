//! The door to files: opened, unpacked if they are gzip, counted for the progress bar.
//!
//! gzip is known by its first bytes, not by the file's name; several members in one file are one
//! text. A gzip that is cut off is an error, never a shorter file. A record that never ends does
//! not fill the memory: see [`Meter`].

use super::InputError;
use flate2::bufread::MultiGzDecoder;
use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The text of a file.
pub(crate) type Bytes = Box<dyn BufRead>;

/// An opened file.
pub(crate) struct Opened {
    pub(crate) bytes: Bytes,
    /// How long the file is, in bytes, as it lies there; `None` for a pipe.
    pub(crate) length: Option<u64>,
    /// How many of these have been read.
    pub(crate) progress: Arc<AtomicU64>,
}

/// Opens a file; `-` is standard input.
pub(crate) fn open(path: &Path) -> Result<Opened, InputError> {
    let progress = Arc::new(AtomicU64::new(0));
    if path == Path::new("-") {
        let bytes = unpacked(Counted { inner: io::stdin(), read: progress.clone() })?;
        return Ok(Opened { bytes, length: None, progress });
    }
    let failed = |source| InputError::Open { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::Error::other("it is a folder: name a file")));
    }
    // A pipe has no end to go to.
    let length = file.seek(SeekFrom::End(0)).ok();
    if length.is_some() {
        file.rewind().map_err(failed)?;
    }
    let bytes = unpacked(Counted { inner: file, read: progress.clone() })?;
    Ok(Opened { bytes, length, progress })
}

/// Unpacks what begins like a gzip, and takes everything else as it is, without a byte order mark.
pub(super) fn unpacked(raw: impl Read + 'static) -> Result<Bytes, InputError> {
    let mut raw = BufReader::with_capacity(BUFFER_BYTES, raw);
    let is_gzip = raw.fill_buf().map_err(InputError::Read)?.starts_with(&[0x1f, 0x8b]);
    let mut bytes: Bytes = if is_gzip {
        let unpacked = Unpacked(MultiGzDecoder::new(raw));
        Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
    } else {
        Box::new(raw)
    };
    // Spreadsheets write one.
    if bytes.fill_buf().map_err(InputError::Read)?.starts_with(BYTE_ORDER_MARK) {
        bytes.consume(BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const BUFFER_BYTES: usize = 64 * 1024;

/// The most bytes between the beginnings of two records: several times the largest event.
pub(super) const RECORD_BYTES_MAX: u64 = 64 << 20;

/// What has gone through [`Metered`] bytes. Clones share one count.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    lines: Cell<u64>,
    in_record: Cell<u64>,
}

impl Meter {
    /// Ends of lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.0.lines.get()
    }

    /// A record begins: count its bytes from 0.
    pub(super) fn begin_record(&self) {
        self.0.in_record.set(0);
    }
}

/// Bytes that are counted as they are taken, and end with an error in a record without end.
pub(super) struct Metered {
    inner: Bytes,
    meter: Meter,
}

impl Metered {
    pub(super) fn new(inner: Bytes, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Metered {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.meter.0.in_record.get() > RECORD_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a record after line {} has more than {RECORD_BYTES_MAX} bytes: no event is that \
                 large; is the file in this format?",
                self.meter.lines()
            )));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is consumed is in the buffer, so this reads nothing.
        if let Ok(buffer) = self.inner.fill_buf() {
            let lines = buffer.iter().take(count).filter(|byte| **byte == b'\n').count();
            self.meter.0.lines.set(self.meter.0.lines.get() + lines as u64);
        }
        self.meter.0.in_record.set(self.meter.0.in_record.get() + count as u64);
        self.inner.consume(count);
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Says what the error of a gzip means.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other(
                "the gzip file is cut off before its end: get the whole file again",
            ),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                io::Error::other(format!("the gzip file is damaged ({error}): get the file again"))
            }
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::{Cursor, Write};

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn text(bytes: Vec<u8>) -> Result<String, String> {
        let mut text = String::new();
        let mut bytes = unpacked(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        bytes.read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }

    #[test]
    fn gzip_is_unpacked_in_all_its_members() {
        let mut members = gzip("first\n");
        members.extend(gzip("second\n"));
        assert_eq!(text(members).unwrap(), "first\nsecond\n");
        assert_eq!(text(b"plain".to_vec()).unwrap(), "plain");
        assert_eq!(text("\u{feff}marked".into()).unwrap(), "marked");
        assert_eq!(text(gzip("\u{feff}marked")).unwrap(), "marked");
        assert_eq!(text(Vec::new()).unwrap(), "");
    }

    #[test]
    fn a_gzip_cut_anywhere_is_an_error() {
        let whole = gzip(&"a line of some length\n".repeat(100));
        for length in 2..whole.len() {
            let cut = text(whole[..length].to_vec());
            assert!(cut.as_ref().is_err_and(|e| e.contains("cut off")), "{length}: {cut:?}");
        }
    }

    #[test]
    fn a_damaged_gzip_is_an_error() {
        let mut damaged = gzip(&"a line of some length\n".repeat(100));
        let last = damaged.len() - 6;
        damaged[last] ^= 1;
        assert!(text(damaged).unwrap_err().contains("damaged"));
    }

    #[test]
    fn a_record_without_end_is_refused_and_lines_are_counted() {
        let meter = Meter::default();
        let endless = Box::new(BufReader::new(io::repeat(b'x')));
        let error = io::copy(&mut Metered::new(endless, meter.clone()), &mut io::sink());
        assert!(error.unwrap_err().to_string().contains("a record after line 0 has more than"));
        let mut metered = Metered::new(Box::new(Cursor::new("a\nb\nc")), meter.clone());
        meter.begin_record();
        io::copy(&mut metered, &mut io::sink()).unwrap();
        assert_eq!(meter.lines(), 2);
    }
}
