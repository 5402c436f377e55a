//! The store's threads, and their end.

use super::{
    follow::{Following, follow},
    pool::Pool,
    queue::Queue,
};
#[cfg(feature = "zstd")]
use crate::packed;
use crate::{
    OpenError, Reader, Writer, error::Fault, replica::Replica, rewrite::Stop, scrub,
    write::Unindexed,
};
use factum_core::sync::{
    Mutex,
    mpsc::{self, TryRecvError},
    thread::{self, Builder, JoinHandle},
};
#[cfg(feature = "zstd")]
use std::io;
use std::sync::{Arc, PoisonError};

/// Sealed segments that may wait for their index file; then the writer waits too, so that the
/// indexes in memory are few.
const UNINDEXED_MAX: usize = 2;

#[derive(Debug)]
pub(super) struct Threads {
    /// Of those who work on sealed segments.
    background: Stop,
    writers: Mutex<Vec<JoinHandle<()>>>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

/// Who adds to the log.
pub(super) enum Adds {
    /// What is appended here.
    Writer(Box<Writer>, Arc<Queue>),
    /// What another store has written.
    Replica(Box<Replica>, Arc<Following>),
}

impl Adds {
    fn name(&self) -> &'static str {
        match self {
            Self::Writer(..) => "factum-writer",
            Self::Replica(..) => "factum-replica",
        }
    }

    fn work(self, reader: &Reader, sealed: &mpsc::SyncSender<Unindexed>) {
        match self {
            Self::Writer(writer, queue) => write(*writer, &queue, reader, sealed),
            Self::Replica(replica, following) => follow(*replica, &following, sealed),
        }
    }
}

impl Threads {
    pub(super) fn start(adds: Adds, pool: &Arc<Pool>, reader: &Reader) -> Result<Self, OpenError> {
        let dir = reader.shared.dir.clone();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = Builder::new().name(name.into()).spawn(work);
            thread.map_err(Fault::io("start a thread for", &dir))
        };
        let (sealed, to_index) = mpsc::sync_channel(UNINDEXED_MAX);
        let (to_poison, of_index) = (reader.clone(), reader.clone());
        let writers = vec![
            spawn(adds.name(), Box::new(move || adds.work(&to_poison, &sealed)))?,
            spawn("factum-index", Box::new(move || index(&to_index, &of_index)))?,
        ];
        let count = reader.shared.options.read_threads.max(1);
        let mut readers = Vec::with_capacity(count);
        for _ in 0..count {
            let pool = pool.clone();
            readers.push(spawn("factum-read", Box::new(move || pool.work()))?);
        }
        let background = Stop::default();
        if reader.shared.options.scrub_bytes_per_second > 0 {
            let (shared, stop) = (reader.shared.clone(), background.clone());
            readers.push(spawn("factum-scrub", Box::new(move || scrub::scrub(&shared, &stop)))?);
        }
        #[cfg(feature = "zstd")]
        if let Some((disk, level)) = packing(reader)? {
            let (shared, stop) = (reader.shared.clone(), background.clone());
            let pack = move || packed::pack(&shared, (&disk, level), &stop);
            readers.push(spawn("factum-pack", Box::new(pack))?);
        }
        Ok(Self { background, writers: Mutex::new(writers), readers: Mutex::new(readers) })
    }

    pub(super) fn join_writer(&self) {
        join(&self.writers);
    }

    pub(super) fn join_readers(&self) {
        self.background.stop();
        join(&self.readers);
    }
}

/// The disk that is to compress, if any is, and how thoroughly.
#[cfg(feature = "zstd")]
fn packing(reader: &Reader) -> Result<Option<(packed::PackedDisk, i32)>, OpenError> {
    let options = &reader.shared.options;
    let packed::Compression::Zstd { level } = options.compression else { return Ok(None) };
    let Some(disk) = options.world.disk.packed() else {
        let why = "this disk does not compress: put `PackedDisk` in front of it";
        let error = io::Error::new(io::ErrorKind::Unsupported, why);
        return Err(Fault::io("compress segments of", &reader.shared.dir)(error).into());
    };
    Ok(Some((disk.clone(), level)))
}

fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    let threads = std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
    // The last user of a store may be a future that one of these threads completed.
    let others = threads.into_iter().filter(|one| one.thread().id() != thread::current().id());
    for thread in others {
        // A thread that panicked has said so on standard error, and its queue is abandoned.
        let _ = thread.join();
    }
}

/// Abandons the queue when the writer's thread ends, however it ends.
struct Abandon<'a> {
    queue: &'a Queue,
    reader: &'a Reader,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.reader.shared.poison(&"the writer's thread ended unexpectedly");
        }
        self.queue.abandon();
    }
}

fn write(mut writer: Writer, queue: &Queue, reader: &Reader, sealed: &mpsc::SyncSender<Unindexed>) {
    let _abandon = Abandon { queue, reader };
    while let Some(waiting) = queue.take() {
        let (jobs, fillers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let replies = writer.step(jobs);
        for (filler, reply) in fillers.into_iter().zip(replies) {
            filler.fill(reply);
        }
        for segment in writer.take_unindexed() {
            // The index thread outlives the writer's: it ends when this sender does.
            let _ = sealed.send(segment);
        }
    }
    // What fails now is found at the next opening; everything acknowledged is durable.
    let _ = writer.close();
}

/// Writes index files. One that cannot be written stays in memory, and is made at the next opening.
/// Between them, what an earlier process left of the directory to do.
fn index(sealed: &mpsc::Receiver<Unindexed>, reader: &Reader) {
    let mut more = true;
    loop {
        let next = match sealed.try_recv() {
            Err(TryRecvError::Empty) if more => {
                more = reader.shared.tend_directory(1).unwrap_or(false);
                continue;
            }
            Err(TryRecvError::Empty) => sealed.recv().ok(),
            next => next.ok(),
        };
        let Some(segment) = next else { return };
        more |= segment.write().is_ok();
    }
}
