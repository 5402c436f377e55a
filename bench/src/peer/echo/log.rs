//! The least log that is durable: one thread takes all that waits, writes it with one call into a
//! file of zeroes, syncs once, answers. It checks a stream's length and knows nothing else.

use super::message::{AppendRequest, Event};
use anyhow::Result;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};
use tokio::sync::oneshot;

/// Appends that may wait for the thread: more than all clients of a load have under way.
const WAITING_MAX: usize = 8192;

/// Bytes after which a group is written.
const GROUP_BYTES: usize = 4 << 20;

/// Bytes of zeroes that are written ahead at once, and before the first append.
const ZEROES: usize = 64 << 20;
const ZEROES_AT_FIRST: u64 = 256 << 20;

struct Job {
    request: AppendRequest,
    answer: oneshot::Sender<Option<u64>>,
}

/// The door to the thread.
#[derive(Clone)]
pub(super) struct Log(SyncSender<Job>);

impl Log {
    pub(super) fn start(path: &Path) -> Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut writer = Writer { file, end: 0, zeroed: 0, position: 0, lengths: HashMap::new() };
        writer.zero_to(ZEROES_AT_FIRST)?;
        let (sender, jobs) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || {
            writer.run(&jobs).expect("a benchmark has no use for a log that cannot be written");
        });
        Ok(Self(sender))
    }

    /// The position after the append; `None` where the stream has another length.
    pub(super) async fn append(&self, request: AppendRequest) -> Option<u64> {
        let (answer, answered) = oneshot::channel();
        // Never full, see `WAITING_MAX`: a call that waited here would hold up a whole worker.
        self.0.try_send(Job { request, answer }).ok()?;
        answered.await.ok()?
    }
}

struct Writer {
    file: File,
    end: u64,
    zeroed: u64,
    position: u64,
    lengths: HashMap<String, u64>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) -> std::io::Result<()> {
        let (mut group, mut answers) = (Vec::with_capacity(2 * GROUP_BYTES), Vec::new());
        while let Ok(first) = jobs.recv() {
            let mut next = Some(first);
            while let Some(Job { request, answer }) = next {
                answers.push((answer, self.encode(&request, &mut group)));
                next = (group.len() < GROUP_BYTES).then(|| jobs.try_recv().ok()).flatten();
            }
            self.commit(&group)?;
            group.clear();
            for (answer, position) in answers.drain(..) {
                _ = answer.send(position);
            }
        }
        Ok(())
    }

    fn encode(&mut self, request: &AppendRequest, group: &mut Vec<u8>) -> Option<u64> {
        let length = self.lengths.entry(request.stream.clone()).or_default();
        if *length != request.expected {
            return None;
        }
        for event in &request.events {
            frame(group, event, [self.position, *length], &request.stream);
            (self.position, *length) = (self.position + 1, *length + 1);
        }
        Some(self.position)
    }

    /// Written, not allocated: an extent that must be converted makes each sync dearer.
    fn zero_to(&mut self, end: u64) -> std::io::Result<()> {
        if end <= self.zeroed {
            return Ok(());
        }
        while end > self.zeroed {
            self.file.write_all_at(&vec![0; ZEROES], self.zeroed)?;
            self.zeroed += ZEROES as u64;
        }
        self.file.sync_all()
    }

    fn commit(&mut self, group: &[u8]) -> std::io::Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let end = self.end + group.len() as u64;
        self.zero_to(end)?;
        self.file.write_all_at(group, self.end)?;
        self.end = end;
        self.file.sync_data()
    }
}

/// Length and checksum, then the event: what any log has to write.
fn frame(group: &mut Vec<u8>, event: &Event, numbers: [u64; 2], stream: &str) {
    let start = group.len();
    group.extend_from_slice(&[0; 8]);
    for number in numbers {
        group.extend_from_slice(&number.to_le_bytes());
    }
    for part in [stream.as_bytes(), event.event_type.as_bytes(), &event.id, &event.data] {
        group.extend_from_slice(&(part.len() as u32).to_le_bytes());
        group.extend_from_slice(part);
    }
    let (_, written) = group.split_at_mut(start);
    let (head, body) = written.split_at_mut(8);
    let sum = (u64::from(crc32c::crc32c(body)) << 32) | body.len() as u64;
    head.copy_from_slice(&sum.to_le_bytes());
}
