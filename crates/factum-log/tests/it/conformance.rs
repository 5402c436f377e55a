//! The engine passes the conformance suite: on a real folder, closed and opened again, with a clock
//! that is set by hand; once more with a segment sealed after every few appends; and with each of
//! these compressed at once.

mod padded;

use factum_core::{AnyStore, Timestamp};
use factum_log::{LogStore, Options, World, clock::Clock};
use factum_testkit::{Boxed, Harness, ManualClock, Need, harness::Opened};
use padded::Padded;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

#[derive(Debug)]
struct Set(ManualClock);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// A folder, and the store that has it open.
struct LogHarness {
    options: Options,
    /// Whether others write too, so much that segments fill.
    padded: bool,
    /// Whether what is sealed is compressed at once.
    compressed: bool,
    clock: ManualClock,
    dir: TempDir,
    store: Mutex<Option<LogStore>>,
}

impl LogHarness {
    fn usual() -> Self {
        Self::new(Options::default(), false)
    }

    fn padded() -> Self {
        // The smallest segments there are, and hardly anything remembered or held open.
        let (segment_bytes, heads_max, open_files_max, index_fan_out) = (64 << 10, 4, 4, 2);
        let usual = Options::default();
        let options = Options { segment_bytes, heads_max, open_files_max, index_fan_out, ..usual };
        Self::new(options, true)
    }

    #[cfg(feature = "zstd")]
    fn compressed() -> Self {
        Self { compressed: true, ..Self::padded() }
    }

    #[cfg(feature = "zstd")]
    fn compress(&self) -> Option<Box<dyn Fn() + Send + Sync>> {
        let disk = self.options.world.disk.packed().expect("the usual disk compresses").clone();
        let dir = self.dir.path().to_owned();
        let compress = move || {
            disk.compress(&dir, 1, &mut |_| true).expect("it compresses");
        };
        self.compressed.then(|| Box::new(compress) as _)
    }

    #[cfg(not(feature = "zstd"))]
    fn compress(&self) -> Option<Box<dyn Fn() + Send + Sync>> {
        None
    }

    fn new(options: Options, padded: bool) -> Self {
        let clock = ManualClock::default();
        let world = World { clock: Arc::new(Set(clock.clone())), ..options.world };
        Self {
            options: Options { world, ..options },
            padded,
            compressed: false,
            clock,
            dir: tempfile::tempdir().expect("a folder for a test"),
            store: Mutex::new(None),
        }
    }

    /// Opens the folder anew; the case has dropped what it held of the store before.
    fn start(&self) -> Opened {
        let mut store = self.store.lock().expect("no case panics while it opens");
        if let Some(store) = store.take() {
            store.close();
        }
        let opened = LogStore::open(self.dir.path(), self.options.clone())?;
        *store = Some(opened.clone());
        if !self.padded {
            return Ok(AnyStore::new(opened));
        }
        Ok(AnyStore::new(Padded { store: opened, compress: self.compress() }))
    }
}

impl Harness for LogHarness {
    fn name(&self) -> &'static str {
        match (self.padded, self.compressed) {
            (_, true) => "log, padded and compressed",
            (true, _) => "log, padded",
            _ => "log",
        }
    }

    fn can(&self, need: Need) -> bool {
        need != Need::Fresh || !self.padded
    }

    fn open(&self) -> Boxed<'_, Opened> {
        Box::pin(async { self.start() })
    }

    fn reopen(&self) -> Boxed<'_, Opened> {
        Box::pin(async { self.start() })
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }
}

mod usual {
    use super::*;

    factum_testkit::conformance!(LogHarness::usual(), run = factum_testkit::block_on);
}

mod many_segments {
    use super::*;

    factum_testkit::conformance!(LogHarness::padded(), run = factum_testkit::block_on);
}

#[cfg(feature = "zstd")]
mod compressed {
    use super::*;

    factum_testkit::conformance!(LogHarness::compressed(), run = factum_testkit::block_on);
}
