//! The newest segment grows by whole appends, as the source has more of it.
//!
//! What the source wrote and synced as one group is written and synced as one here: the next
//! group's frames say that it is durable. So growing costs a sync a group, as it did the source; a
//! replica that is far behind writes the file anew instead, and syncs once.

use super::{COMPARED_BYTES, Replica, ReplicaError, fetch};
use crate::{
    copy::{Held, PIECE_BYTES_MAX, Source, SourceError, Walk},
    error::{Damage, Fault},
    format::frame::{FrameHeader, Kind},
    planted::{Bug, is_on},
    recovery::{FrameAt, take_in},
    shared::Counters,
};
use factum_core::Position;
use std::{collections::HashMap, sync::Arc};

/// What part of a segment's size a replica may be behind before its newest segment is written anew:
/// if it is more than what there is of it, too, so that all of it together is written twice at
/// most.
const FAR_PART: u64 = 16;

/// Frames that were checked: whole appends, up to a place.
#[derive(Clone, Copy)]
struct Upto {
    walk: Walk,
    /// Where the last frame begins.
    last_frame: u64,
}

impl Replica {
    /// Adds some of what the source has more of the newest segment.
    pub(super) fn grow(&mut self, source: &dyn Source, held: &Held) -> Result<(), ReplicaError> {
        let behind = held.end - self.walk.at;
        let far = self.shared.options.segment_bytes / FAR_PART;
        if behind > far && behind > self.walk.at {
            return self.extend(source, held);
        }
        let compared = self.last_frame.max(self.walk.at.saturating_sub(COMPARED_BYTES));
        let known = self.walk.at - compared;
        let upto = held.end.min(compared + PIECE_BYTES_MAX);
        let mut bytes = fetch(source, held, compared..upto)?;
        let mut fresh = bytes.split_off(usize::try_from(known).expect("a piece is small"));
        // A source that is another by now may have frames that fit as well.
        self.is_same(compared..self.walk.at, &bytes)?;
        while !self.add(source, held, &fresh)? {
            // An append that is longer than a piece: twice as much each time.
            let have = self.walk.at + fresh.len() as u64;
            if have >= held.end {
                return Err(self.not_whole(source, held, Damage::Frame));
            }
            let more = PIECE_BYTES_MAX.max(fresh.len() as u64);
            fresh.extend(fetch(source, held, have..held.end.min(have + more))?);
        }
        Ok(())
    }

    fn not_whole(&self, source: &dyn Source, held: &Held, what: Damage) -> ReplicaError {
        let (file, offset) = (source.name(held), self.walk.at);
        SourceError::Fault(Fault::Damaged { file, offset, what }).into()
    }

    /// Adds the whole appends at the front of the bytes, group by group; false if there is none.
    fn add(
        &mut self,
        source: &dyn Source,
        held: &Held,
        bytes: &[u8],
    ) -> Result<bool, ReplicaError> {
        let mut walk = self.walk;
        let mut whole = Upto { walk, last_frame: self.last_frame };
        let (begun, mut committed, mut at) = (self.walk.at, 0, 0);
        let place = |walk: &Walk| usize::try_from(walk.at - begun).expect("they are in memory");
        while !walk.is_sealed {
            let before = walk;
            let step = walk.step(bytes.get(at..).unwrap_or_default());
            let step = step.map_err(|what| self.not_whole(source, held, what))?;
            let Some(frame) = step else { break };
            if frame.durable(before.at) > self.walk.at && !is_on(Bug::ReplicaClaimsMore) {
                // What it says to be durable has to be that here first.
                if before.is_open() {
                    return Err(self.not_whole(source, held, Damage::Contradiction));
                }
                let upto = place(&whole.walk);
                self.commit(bytes.get(committed..upto).unwrap_or_default(), whole)?;
                committed = upto;
            }
            at += frame.frame_bytes();
            if !walk.is_open() {
                whole = Upto { walk, last_frame: before.at };
            }
        }
        let rest = bytes.get(committed..place(&whole.walk)).unwrap_or_default();
        if !rest.is_empty() {
            self.commit(rest, whole)?;
        }
        Ok(self.walk.at > begun)
    }

    /// Writes whole appends, makes them durable, and lets readers see them.
    fn commit(&mut self, bytes: &[u8], upto: Upto) -> Result<(), ReplicaError> {
        let from = self.walk.at;
        // What takes space comes first: where the disk is full, nothing has changed.
        let options = &self.shared.options;
        self.zeroed = self.newest.zero_ahead(self.zeroed, upto.walk.at, options)?;
        let tracked = self.index(bytes)?;
        let segment = &self.newest;
        // The index knows of more than there is from here on: no failure is passed over.
        let written = segment.file.write_at(bytes, from).map_err(Fault::io("write", &segment.path));
        written.map_err(ReplicaError::Disk)?;
        let head = Position(segment.base() - 1 + u64::from(upto.walk.ordinal));
        if is_on(Bug::ReplicaShowsEarly) {
            self.shared.publish(head, Vec::new());
            crate::planted::pause();
        }
        let began_ns = self.shared.ticks_ns();
        segment
            .file
            .sync()
            .map_err(Fault::io("sync", &segment.path))
            .map_err(ReplicaError::Disk)?;
        let counters = &self.shared.counters;
        counters.sync_time.add(self.shared.since_ns(began_ns));
        Counters::add(&counters.groups, 1);
        Counters::add(&counters.syncs, 1);
        Counters::add(&counters.log_bytes, bytes.len() as u64);
        (self.walk, self.last_frame) = (upto.walk, upto.last_frame);
        segment.publish(self.walk.at);
        self.shared.publish(head, tracked.into_iter().collect());
        Ok(())
    }

    /// Puts frames into the index, as opening would; gives the tracked positions that they hold.
    fn index(&self, bytes: &[u8]) -> Result<HashMap<Arc<str>, u64>, ReplicaError> {
        let mut tracked = HashMap::new();
        let (mut at, mut rest) = (self.walk.at, bytes);
        let counters = &self.shared.counters;
        while let Some(header) = FrameHeader::decode(rest).filter(|_| !rest.is_empty()) {
            let (frame, after) = rest.split_at_checked(header.frame_bytes()).unwrap_or((rest, &[]));
            let body = frame.get(header.head_bytes()..).unwrap_or_default();
            let frame = FrameAt { at, header: &header, body };
            let taken = self.newest.index.change(|index| take_in(frame, index, &mut tracked));
            if taken.is_none() {
                let fault = self.newest.fault(at, Damage::Contradiction);
                return Err(ReplicaError::Disk(fault));
            }
            Counters::add(&counters.events, header.count.into());
            let is_append = header.kind == Kind::Events && header.last;
            Counters::add(&counters.appends, is_append.into());
            at += header.frame_bytes() as u64;
            rest = after;
        }
        Ok(tracked)
    }
}
