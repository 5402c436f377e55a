//! How fast this machine appends and reads: one writer's steps, then threads, then reads.
//!
//! `cargo run --release --example speed [DIR]`. For orientation; comparisons are the benchmark's.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement prints")]

use factum_core::{
    Append, Check, EventData, EventStore, EventType, Expected, Query, Read, Revision, StreamName,
    Uuid, next_batch,
};
use factum_log::{LogStore, Options};
use std::{
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::Instant,
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("factum-speed-{}", std::process::id()));
    let store = LogStore::open(&dir, Options::default())?;
    for (threads, batch, seconds) in
        [(1, 1, 2.0), (16, 1, 2.0), (64, 1, 2.0), (1, 100, 2.0), (1, 1000, 2.0)]
    {
        append(&store, threads, batch, seconds);
    }
    read_all(&store, Read::query(Query::All), "everything")?;
    read_all(&store, Read::stream(StreamName::new("1-1000-0")?), "one stream")?;
    store.close();
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn append(store: &LogStore, threads: usize, batch: usize, seconds: f64) {
    let start = Instant::now();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let spawn = |thread| {
            scope.spawn(move || {
                let name = format!("{threads}-{batch}-{thread}");
                let stream = StreamName::new(&name).expect("a short name");
                let mut count = 0;
                while start.elapsed().as_secs_f64() < seconds {
                    block_on(store.append(appended(&stream, count, batch))).expect("no conflict");
                    count += batch;
                }
                count
            })
        };
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let count: usize = counts.iter().sum();
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("{threads:3} threads, {batch:4} a commit: {rate:10.0} events/s");
}

fn appended(stream: &StreamName, count: usize, batch: usize) -> Append {
    let data = format!("{{\"pad\": \"{}\"}}", "x".repeat(245));
    let event_type = EventType::new("thing.happened").expect("a short name");
    let event = |n: usize| {
        let id = Uuid::from_u64_pair(
            factum_core::name::category_of(stream.as_str()).len() as u64 + 1,
            (count + n) as u64,
        );
        EventData::new(id, event_type.clone(), data.clone())
    };
    let expected = match (count as u64).checked_sub(1) {
        None => Expected::NoStream,
        Some(last) => Expected::At(Revision(last)),
    };
    Append::to(stream.clone(), (0..batch).map(event))
        .checking(Check::Stream { stream: stream.clone(), expected })
}

fn read_all(store: &LogStore, read: Read, what: &str) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut count = 0;
    block_on(async {
        let mut batches = store.read(read).await?.batches;
        while let Some(batch) = next_batch(&mut batches).await {
            count += batch?.events.len();
        }
        Ok::<(), factum_core::ReadError>(())
    })?;
    println!("{what}: {:.0} events/s of {count}", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
