//! Putting a damaged file aside, and what stands in its place: a segment that has what is whole,
//! and says what is lost.
//!
//! First the new file is whole and durable, then the damaged one has its second name, then the new
//! one takes the first: so a crash at any call leaves the damaged file in its place, or aside.

use super::{
    QUARANTINE, QuarantineError,
    plan::Plan,
    salvage::{Kept, Piece, Salvage},
    survey::Survey,
};
use crate::{
    disk::{Disk, File, Mode, put_whole},
    error::{Damage, Fault},
    format::{
        body::{Tracked, put_carry, read_body},
        entry::Entry,
        frame::{self, FRAME_HEADER_BYTES_MAX, FrameHeader, FramePlace, Kind},
        header::{HEADER_BYTES, LOST, REWRITTEN, SegmentHeader},
    },
    index::{MemoryIndex, build},
    planted::{Bug, is_on},
    recovery::{Place, Window, scan_with},
    rewrite::{Draft, New, Old, Output},
    segment::index_path,
};
use factum_core::Tag;
use std::{
    collections::HashMap,
    fmt::Write,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Files of one segment that are put aside, at most: it was damaged again and again.
const ASIDE_MAX: u32 = 1000;
/// Bytes that are copied or compared at once.
const CHUNK: usize = 1 << 20;

/// Carries a plan out; where the damaged file is then.
pub(super) fn replace(
    survey: &Survey<'_>,
    plan: &Plan,
) -> Result<Option<PathBuf>, QuarantineError> {
    let (disk, dir) = (survey.disk(), survey.what.dir);
    let output = write(survey, plan)?;
    check(plan, &output)?;
    let path = &plan.subject.path;
    let give_name = || -> Result<(), Fault> {
        disk.rename(&output.unfinished, path).map_err(Fault::io("rename", &output.unfinished))?;
        disk.sync_dir(dir).map_err(Fault::io("sync", dir))
    };
    if is_on(Bug::ReplaceBeforeAside) {
        give_name()?;
        return Ok(put_aside(survey, plan)?);
    }
    let aside = put_aside(survey, plan)?;
    give_name()?;
    let index = index_path(dir, plan.subject.header.base);
    put_whole(disk, &index, &build(&output.index, output.header.seed))?;
    Ok(aside)
}

/// Writes the new file, durably, under a name that opening does not look at.
fn write(survey: &Survey<'_>, plan: &Plan) -> Result<Output, Fault> {
    let subject = &plan.subject;
    let seed = survey.world.rng.next_u64();
    let old = &subject.header;
    let origin = if old.seed == 0 { seed } else { old.origin };
    let features = old.features | REWRITTEN | LOST;
    let header = SegmentHeader { seed, origin, features, ..*old };
    let disk = survey.disk();
    let mut output = Output::begin(disk, &subject.path, header)?;
    let file = subject.salvage.as_ref().map(|_| disk.open(&subject.path, Mode::Read));
    let file = file.transpose().map_err(Fault::io("open", &subject.path))?;
    let source = file.as_deref().zip(subject.salvage.as_ref());
    let source = source.map(|(file, salvage)| Source { file, plan, salvage });
    let carried = source.as_ref().and_then(Source::carry);
    let carried = carried.unwrap_or_else(|| carry(&survey.before.tracked));
    let mut last_ns = header.floor_ns;
    output.put(unplaced(Kind::Carry, 0, last_ns), &carried)?;
    let mut pieces = plan.pieces.iter().peekable();
    if let Some(source) = &source {
        for kept in &plan.kept {
            let is_before = |piece: &&Piece| piece.lost.ordinals.start < kept.header.ordinal;
            while let Some(piece) = pieces.next_if(is_before) {
                output.lost(&piece.lost, last_ns, &piece.remains)?;
            }
            source.copy(kept, &mut output)?;
            last_ns = last_ns.max(kept.header.recorded_at_ns);
        }
    }
    for piece in pieces {
        output.lost(&piece.lost, last_ns, &piece.remains)?;
    }
    // What is appended from now on was recorded after all that was lost.
    let now_ns = survey.world.clock.now().0;
    let sealed_ns = if subject.next.is_none() { last_ns.max(now_ns) } else { last_ns };
    output.finish(unplaced(Kind::Sealed, plan.count, sealed_ns))?;
    Ok(output)
}

/// A frame of no events, as far as it is known before it has its place.
fn unplaced(kind: Kind, ordinal: u32, recorded_at_ns: i64) -> FrameHeader {
    FrameHeader {
        len: 0,
        ordinal,
        recorded_at_ns,
        pending: 0,
        count: 0,
        kind,
        first: true,
        last: true,
        tracking: false,
    }
}

/// Tracked positions, as the segments before have left them.
fn carry(tracked: &HashMap<Arc<str>, u64>) -> Vec<u8> {
    let mut body = Vec::new();
    let tracked = tracked.iter();
    put_carry(&mut body, tracked.map(|(source, position)| Tracked { source, position: *position }));
    body
}

/// Where whole frames are copied from.
struct Source<'a> {
    file: &'a dyn File,
    plan: &'a Plan,
    salvage: &'a Salvage,
}

impl Source<'_> {
    fn fault(&self, offset: u64, what: Damage) -> Fault {
        Fault::Damaged { file: self.plan.subject.path.clone(), offset, what }
    }

    /// The body of the first frame, if it is a whole carry.
    fn carry(&self) -> Option<Vec<u8>> {
        let offset = HEADER_BYTES as u64;
        let mut window = Window::new(self.file, &self.plan.subject.path).ok()?;
        let head = window.at(offset, FRAME_HEADER_BYTES_MAX as u64).ok()?;
        let len = FrameHeader::decode(head)?.frame_bytes() as u64;
        let place = FramePlace { seed: self.plan.subject.header.seed, offset };
        let (header, body) = frame::decode(window.at(offset, len).ok()?, place)?;
        (header.kind == Kind::Carry).then(|| body.to_vec())
    }

    /// Copies a frame of events, with its append's marks.
    fn copy(&self, kept: &Kept, output: &mut Output) -> Result<(), Fault> {
        if kept.header.first {
            output.begin_append();
        }
        let mut bytes = vec![0; kept.header.frame_bytes()];
        let path = &self.plan.subject.path;
        self.file.read_at(&mut bytes, kept.offset).map_err(Fault::io("read", path))?;
        let place = FramePlace { seed: self.plan.subject.header.seed, offset: kept.offset };
        let whole = frame::decode(&bytes, place);
        let (header, body) = whole.ok_or_else(|| self.fault(kept.offset, Damage::Frame))?;
        let contradiction = || self.fault(kept.offset, Damage::Contradiction);
        let read = read_body(&header, body).ok_or_else(contradiction)?;
        // One of no events may stand between events that are lost: it comes behind them then.
        let ordinal = header.ordinal.max(output.index.next());
        let mut draft = Draft::new(&FrameHeader { ordinal, ..header }, read.tracked);
        for entry in &read.entries {
            self.event(entry, (body, &mut draft), output).ok_or_else(contradiction)?;
        }
        output.push(draft)?;
        if kept.header.last { output.end_append() } else { Ok(()) }
    }

    fn event(
        &self,
        entry: &Entry,
        (body, draft): (&[u8], &mut Draft),
        output: &mut Output,
    ) -> Option<()> {
        let names = &self.salvage.scan.index;
        let (stream, event_type) =
            (names.stream_name(entry.stream)?, names.event_type(entry.event_type)?);
        let tags: Vec<Tag> = entry.tags.iter().map(|tag| names.tag(*tag)).collect::<Option<_>>()?;
        let position = self.plan.subject.header.base + u64::from(entry.ordinal);
        let old = Old { stream: &stream, event_type: &event_type, position, entry };
        let tags = tags.iter().collect();
        output.event(draft, &New { old, tags, body, instead: None });
        Some(())
    }
}

/// Reads what was written, before it takes the place of anything.
fn check(plan: &Plan, output: &Output) -> Result<(), Fault> {
    let Output { file, unfinished, header, .. } = output;
    let place = Place { file: &**file, path: unfinished, header };
    let scan = scan_with(MemoryIndex::default(), &mut |_, _, _| (), &place)?;
    let comes_back = scan.missing.is_empty() && scan.sealed && scan.index.next() == plan.count;
    match comes_back && scan.index.lost() == output.index.lost() {
        true => Ok(()),
        false => Err(Fault::io("read", unfinished)(io::Error::other("it does not come back"))),
    }
}

/// Gives the damaged file, and its index, a name in the folder for such, and says why.
fn put_aside(survey: &Survey<'_>, plan: &Plan) -> Result<Option<PathBuf>, Fault> {
    let (disk, dir) = (survey.disk(), survey.what.dir);
    let into = dir.join(QUARANTINE);
    disk.create_dir(&into).map_err(Fault::io("create", &into))?;
    disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
    let subject = &plan.subject;
    let SegmentHeader { base, seed, .. } = subject.header;
    let stem = format!("{base:020}-{seed:016x}");
    let index = index_path(dir, base);
    if subject.index.is_some() {
        keep(disk, &index, |nth| into.join(named(&stem, nth, "idx")))?;
    }
    let aside = match subject.is_there {
        true => Some(keep(disk, &subject.path, |nth| into.join(named(&stem, nth, "log")))?),
        false => None,
    };
    let note = note(survey, plan, aside.as_deref());
    put_whole(disk, &into.join(named(&stem, 0, "txt")), note.as_bytes())?;
    disk.sync_dir(&into).map_err(Fault::io("sync", &into))?;
    Ok(aside)
}

fn named(stem: &str, nth: u32, kind: &str) -> String {
    if nth == 0 { format!("{stem}.{kind}") } else { format!("{stem}-{nth}.{kind}") }
}

/// Keeps a file under another name too: a free one, or one that is this file's already.
fn keep(disk: &dyn Disk, from: &Path, name: impl Fn(u32) -> PathBuf) -> Result<PathBuf, Fault> {
    for to in (0..ASIDE_MAX).map(name) {
        match disk.link(from, &to) {
            Ok(()) => return Ok(to),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_same(disk, from, &to) {
                    return Ok(to);
                }
            }
            // Not every file system has second names.
            Err(_) if disk.open(&to, Mode::Read).is_err() => {
                copy(disk, from, &to)?;
                return Ok(to);
            }
            Err(_) if is_same(disk, from, &to) => return Ok(to),
            Err(_) => {}
        }
    }
    Err(Fault::io("link", from)(io::ErrorKind::AlreadyExists.into()))
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Fault> {
    let source = disk.open(from, Mode::Read).map_err(Fault::io("open", from))?;
    let unfinished = to.with_extension("tmp");
    let file = disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
    let copied = pieces(&*source, &mut |bytes, at| {
        file.write_at(bytes, at)?;
        Ok(true)
    });
    copied.map_err(Fault::io("copy", from))?;
    file.sync().map_err(Fault::io("sync", &unfinished))?;
    disk.rename(&unfinished, to).map_err(Fault::io("rename", &unfinished))
}

fn is_same(disk: &dyn Disk, one: &Path, other: &Path) -> bool {
    let same = || {
        let (one, other) = (disk.open(one, Mode::Read)?, disk.open(other, Mode::Read)?);
        let mut there = Vec::new();
        let mut compare = |bytes: &[u8], at: u64| {
            there.resize(bytes.len(), 0);
            other.read_at(&mut there, at)?;
            Ok(there == bytes)
        };
        Ok::<_, io::Error>(one.len()? == other.len()? && pieces(&*one, &mut compare)?)
    };
    same().unwrap_or(false)
}

/// Shows a file piece by piece, as long as that is wanted; whether it was to the end.
fn pieces(
    file: &dyn File,
    see: &mut dyn FnMut(&[u8], u64) -> io::Result<bool>,
) -> io::Result<bool> {
    let len = file.len()?;
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < len {
        bytes.resize(usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK), 0);
        file.read_at(&mut bytes, at)?;
        if !see(&bytes, at)? {
            return Ok(false);
        }
        at += bytes.len() as u64;
    }
    Ok(true)
}

/// What is said of it, for whoever finds the folder.
fn note(survey: &Survey<'_>, plan: &Plan, aside: Option<&Path>) -> String {
    let subject = &plan.subject;
    let at_ns = survey.world.clock.now().0;
    let mut text = format!("at-ns {at_ns}\nfile {}\n", subject.path.display());
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes all");
    line(match aside {
        Some(aside) => format!("now {}", aside.display()),
        None => "now gone".to_owned(),
    });
    for spot in &subject.damage {
        line(format!("damage {} {}", spot.offset, spot.what));
    }
    let loss = plan.loss();
    for lost in &loss.lost {
        let known = if lost.is_known { "known" } else { "unknown" };
        line(format!("lost {} {} {known}", lost.positions.start(), lost.positions.end()));
    }
    line(format!("kept {}", loss.kept));
    text
}
