//! Scavenging: what is deleted, truncated or expired leaves the sealed segments.

use super::{
    Maintenance, MaintenanceError,
    copy::{copy, measure},
    install::install,
    pace::{Halt, Pace, Stop},
    visible::ByVisibility,
};
use crate::{error::Fault, segment::Segment};

/// How to scavenge.
///
/// ```
/// use factum_log::rewrite::ScavengeOptions;
/// let now = ScavengeOptions { grace_s: 0, ..ScavengeOptions::default() };
/// assert_eq!(now.threshold_percent, 5);
/// ```
#[derive(Clone, Debug)]
pub struct ScavengeOptions {
    /// Events recorded in the last so many seconds stay, whatever hides them: who deleted by
    /// mistake can still undo it. 7 days.
    pub grace_s: u64,
    /// A segment of which less would be freed, in percent of its bytes, is left alone. 5.
    pub threshold_percent: u32,
    /// Bytes read and written a second, at most; no limit without.
    pub bytes_per_second_max: Option<u64>,
}

impl Default for ScavengeOptions {
    fn default() -> Self {
        Self { grace_s: 7 * 24 * 3600, threshold_percent: 5, bytes_per_second_max: None }
    }
}

/// How far a scavenge is, and at its end, what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScavengeReport {
    /// Sealed segments when it began. The newest segment is not looked at.
    pub segments: u64,
    /// Segments looked at.
    pub segments_done: u64,
    /// Segments that were rewritten.
    pub segments_rewritten: u64,
    /// Events looked at.
    pub events: u64,
    /// Events that are gone.
    pub events_removed: u64,
    /// Events whose payload is gone: each is the last of its stream, whose revisions go on from it.
    pub events_emptied: u64,
    /// Bytes freed on disk, indexes apart.
    pub bytes_freed: u64,
    /// Segments left alone, as little would have been freed.
    pub segments_below_threshold: u64,
    /// About how many bytes could be freed in those.
    pub bytes_below_threshold: u64,
    /// Hidden events that stay, as they were recorded within the grace.
    pub events_in_grace: u64,
    /// Segments left alone, as they could not be read, with the reason; the first 100.
    pub unreadable: Vec<String>,
    /// It was stopped before its end.
    pub stopped: bool,
}

/// Reasons kept in a report.
const UNREADABLE_MAX: usize = 100;

impl Maintenance {
    /// Takes what is deleted, truncated or expired out of the sealed segments, oldest first, while
    /// the store goes on serving; the report is given to `watch` after each segment.
    ///
    /// Every stream answers as before: what was visible stays, and so do revisions, positions and
    /// recorded times; of a stream that has nothing visible the last event stays, without payload.
    /// Reads of everything no longer meet what went. Each segment is whole before or after, at any
    /// moment; one that is stopped or killed is begun again, and passes over what is done.
    ///
    /// # Errors
    /// [`MaintenanceError::Busy`] where maintenance goes on already,
    /// [`MaintenanceError::ReadOnly`] where nothing may be written, and
    /// [`MaintenanceError::Fault`] where the disk refuses, or is full: the segment at hand is as it
    /// was then.
    pub fn scavenge(
        &self,
        options: &ScavengeOptions,
        stop: &Stop,
        watch: &mut dyn FnMut(&ScavengeReport),
    ) -> Result<ScavengeReport, MaintenanceError> {
        let _one = self.begin()?;
        let shared = &self.shared;
        let fates = ByVisibility::new(shared, options.grace_s)?;
        let pace = Pace::new(stop, options.bytes_per_second_max);
        let sealed = shared.sealed_bases();
        let report = ScavengeReport { segments: sealed.len() as u64, ..ScavengeReport::default() };
        let mut run = Run { maintenance: self, options, fates, pace, report };
        watch(&run.report);
        for base in sealed {
            let segment = shared.sealed_segment(base).expect("a sealed segment stays one");
            match run.segment(&segment) {
                Ok(()) => {}
                Err(Halt::Stopped) => {
                    run.report.stopped = true;
                    break;
                }
                Err(Halt::Fault(fault)) => run.fault(fault)?,
            }
            run.report.segments_done += 1;
            run.report.events_in_grace = run.fates.stays.in_grace;
            watch(&run.report);
        }
        Ok(run.report)
    }
}

struct Run<'a> {
    maintenance: &'a Maintenance,
    options: &'a ScavengeOptions,
    fates: ByVisibility,
    pace: Pace<'a>,
    report: ScavengeReport,
}

impl Run<'_> {
    fn segment(&mut self, segment: &Segment) -> Result<(), Halt> {
        let shared = &self.maintenance.shared;
        let measured = measure(segment, &mut self.fates, &mut self.pace)?;
        self.report.events += measured.events;
        if measured.removed + measured.replaced == 0 {
            return Ok(());
        }
        let path = &segment.path;
        let before = segment.file.len().map_err(Fault::io("read", path))?;
        let least = u128::from(before) * u128::from(self.options.threshold_percent) / 100;
        if u128::from(measured.bytes) < least {
            self.report.segments_below_threshold += 1;
            self.report.bytes_below_threshold += measured.bytes;
            return Ok(());
        }
        let stays = self.fates.stays;
        let (output, after) = copy(segment, &mut self.fates, (&shared.options, &mut self.pace))?;
        // Those were counted when it was measured.
        self.fates.stays = stays;
        install(shared, segment, (output, after))?;
        self.report.segments_rewritten += 1;
        self.report.events_removed += measured.removed;
        self.report.events_emptied += measured.replaced;
        self.report.bytes_freed += before.saturating_sub(after);
        Ok(())
    }

    /// A segment that is damaged is left as it is, and named; where the disk refuses it ends.
    fn fault(&mut self, fault: Fault) -> Result<(), Fault> {
        let (Fault::Damaged { .. } | Fault::Lost { .. }) = fault else { return Err(fault) };
        if self.maintenance.shared.read_only().is_some() {
            return Err(fault);
        }
        if self.report.unreadable.len() < UNREADABLE_MAX {
            self.report.unreadable.push(fault.to_string());
        }
        Ok(())
    }
}
