//! Making a group durable, and saying what came of it; and marks in the log that say so.

use super::{Reply, Writer};
use crate::{
    error::Fault,
    format::frame::{FrameHeader, Kind},
    planted::{Bug, is_on},
    recovery::Closed,
    shared::Counters,
};
use factum_core::{AppendError, Position};

/// What a bug on purpose keeps back.
const LATER_BYTES: usize = 16 << 10;

impl Writer {
    /// Commits the group, and says in the replies what came of it.
    pub(super) fn settle(&mut self, replies: &mut [Reply]) {
        if self.group.is_empty() || is_on(Bug::WriteLater) && self.group.len() < LATER_BYTES {
            return;
        }
        let unknown = match self.shared.read_only() {
            // The disk failed while the group was made: none of it is written any more.
            Some(_) => None,
            None => match self.commit() {
                Ok(()) => return,
                Err(fault) => {
                    self.shared.poison(&fault);
                    Some(fault.to_string())
                }
            },
        };
        // What is not durable is never tried again.
        self.group.clear();
        let why = self.shared.read_only().expect("the writer is poisoned");
        for reply in replies {
            if reply.is_err() && is_on(Bug::KeepRefusals) {
                continue;
            }
            *reply = Err(match (&reply, &unknown) {
                (Ok(_), Some(fault)) => AppendError::Unknown { why: fault.clone().into() },
                // Not written, or judged against appends that may never have been.
                _ => AppendError::ReadOnly { why: why.clone() },
            });
        }
        self.shared.wake();
    }

    /// Writes the group, syncs, and lets readers see it. The first failure poisons: a sync is
    /// never retried, as the kernel may have dropped what it could not write.
    fn commit(&mut self) -> Result<(), Fault> {
        let segment = &self.segment;
        let bytes = self.group.len() as u64;
        let written = segment.file.write_at(&self.group, self.tail.offset);
        let written = if is_on(Bug::IgnoreWriteError) { Ok(()) } else { written };
        written.map_err(Fault::io("write", &segment.path))?;
        if is_on(Bug::PublishBeforeSync) {
            self.shared.publish(Position(self.next - 1), Vec::new());
        }
        self.make_durable()?;
        self.tail.offset += bytes;
        self.tail.closed = false;
        self.group.clear();
        segment.publish(self.tail.offset);
        let counters = &self.shared.counters;
        Counters::add(&counters.groups, 1);
        Counters::add(&counters.syncs, 1);
        Counters::add(&counters.log_bytes, bytes);
        self.shared.publish(Position(self.next - 1), self.tracked.drain().collect());
        Ok(())
    }

    fn make_durable(&self) -> Result<(), Fault> {
        if is_on(Bug::AcknowledgeBeforeSync) {
            return Ok(());
        }
        let began_ns = self.shared.ticks_ns();
        let synced = match self.segment.file.sync() {
            Err(_) if is_on(Bug::RetrySync) => self.segment.file.sync(),
            Err(_) if is_on(Bug::IgnoreSyncError) => Ok(()),
            synced => synced,
        };
        self.shared.counters.sync_time.add(self.shared.since_ns(began_ns));
        synced.map_err(Fault::io("sync", &self.segment.path))
    }

    /// Writes a frame without content, which says that all before it is durable, and syncs.
    pub(super) fn mark(&mut self, kind: Kind) -> Result<(), Fault> {
        let frame = self.marking(kind).alone(self.segment.place(self.tail.offset));
        let segment = &self.segment;
        let written = segment.file.write_at(&frame, self.tail.offset);
        written.map_err(Fault::io("write", &segment.path))?;
        if !(kind == Kind::Sealed && is_on(Bug::SealWithoutSync)) {
            segment.file.sync().map_err(Fault::io("sync", &segment.path))?;
        }
        Counters::add(&self.shared.counters.syncs, 1);
        self.tail.offset += frame.len() as u64;
        segment.publish(self.tail.offset);
        Ok(())
    }

    /// The head of a frame that says that all before it is durable.
    fn marking(&self, kind: Kind) -> FrameHeader {
        FrameHeader {
            len: 0,
            ordinal: self.segment.ordinal(self.next),
            recorded_at_ns: self.tail.floor_ns,
            pending: 0,
            count: 0,
            kind,
            first: true,
            last: true,
            tracking: false,
        }
    }

    /// Says in the log that all of it is durable, so that damage to its end is told from a torn
    /// write. Does nothing if nothing was written since the last time.
    pub fn close(&mut self) -> Result<(), Fault> {
        // Tracked positions alone are something too.
        let is_fresh = self.tail.offset <= self.start;
        if self.tail.closed || is_fresh || self.shared.read_only().is_some() {
            return Ok(());
        }
        if is_on(Bug::CloseBeforeMark) {
            self.say_closed(self.tail.offset + self.marking(Kind::Closed).frame_bytes() as u64);
        }
        self.mark(Kind::Closed).inspect_err(|fault| self.shared.poison(fault))?;
        self.tail.closed = true;
        self.say_closed(self.tail.offset);
        Ok(())
    }

    fn say_closed(&self, end: u64) {
        let (base, seed) = (self.segment.base(), self.segment.header.seed);
        let closed = Closed { base, seed, end };
        // Without it the log is as whole; only its being cut short would be harder to see.
        let _ = closed.write(&self.shared.dir, &*self.shared.options.world.disk);
    }
}
