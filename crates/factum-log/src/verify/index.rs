//! The index file of a sealed segment: every page, and whether it says what the segment says.

use super::{Defect, Finding, Severity, run::Run, segment::Subject};
use crate::{
    disk::File,
    error::{Damage, Fault},
    format::header::SegmentHeader,
    index::{PAGE, build, is_whole},
    recovery::Scan,
};
use std::{io, path::Path};

/// Where the index of a segment is.
#[derive(Clone, Copy)]
pub(super) enum IndexCopy<'a> {
    /// In a file.
    File(&'a dyn File, &'a Path),
    /// There is no file, and the segment has one once it is sealed.
    Absent(&'a Path),
    /// In memory, of a store that is open.
    Memory,
}

/// Pages read at once.
const PAGES_AT_ONCE: usize = 256;

/// Verifies an index; the segment has been walked.
pub(super) fn check(run: &mut Run<'_>, subject: &Subject<'_>, header: &SegmentHeader, scan: &Scan) {
    let (file, path) = match subject.index {
        IndexCopy::File(file, path) => (file, path),
        IndexCopy::Absent(path) => {
            return add(run, path, 0, (Severity::Leftover, Defect::NoIndex));
        }
        IndexCopy::Memory => return,
    };
    // Where the segment is damaged, its index says more than it does.
    let wanted = scan.missing.is_empty() && scan.sealed;
    let wanted = wanted.then(|| build(&scan.index, header.seed));
    match compare(file, header.seed, wanted.as_deref()) {
        Ok(Compared { bad, differs }) => {
            let pages = bad.iter().map(|page| page * PAGE as u64);
            for offset in pages {
                add(run, path, offset, (Severity::Derived, Damage::Index.into()));
            }
            if let Some(offset) = differs.filter(|_| bad.is_empty()) {
                add(run, path, offset, (Severity::Derived, Defect::IndexDiffers));
            }
        }
        Err(error) => {
            let why = Fault::io("read", path)(error).to_string();
            add(run, path, 0, (Severity::Derived, Defect::Unreadable { why }));
        }
    }
}

fn add(run: &mut Run<'_>, path: &Path, offset: u64, (severity, defect): (Severity, Defect)) {
    run.report.add(Finding { severity, file: path.to_owned(), offset, defect, lost: None });
}

#[derive(Debug, Default)]
struct Compared {
    /// Pages whose checksum is wrong.
    bad: Vec<u64>,
    /// The first byte that is not what was wanted.
    differs: Option<u64>,
}

fn compare(file: &dyn File, seed: u64, wanted: Option<&[u8]>) -> io::Result<Compared> {
    let len = file.len()?;
    let mut found = Compared::default();
    let mut at = 0;
    let mut bytes = Vec::new();
    while at < len {
        let chunk = (len - at).min((PAGES_AT_ONCE * PAGE) as u64);
        bytes.resize(usize::try_from(chunk).expect("1 MiB at most"), 0);
        file.read_at(&mut bytes, at)?;
        for (number, page) in (at / PAGE as u64..).zip(bytes.chunks(PAGE)) {
            if page.len() < PAGE || !is_whole(page, seed, number) {
                found.bad.push(number);
            }
        }
        if let Some(wanted) = wanted
            && found.differs.is_none()
        {
            let from = usize::try_from(at).unwrap_or(usize::MAX);
            let wanted = wanted.get(from..).unwrap_or_default();
            let same = bytes.iter().zip(wanted).take_while(|(one, other)| one == other).count();
            found.differs = (same < bytes.len()).then_some(at + same as u64);
        }
        at += chunk;
    }
    let is_short = wanted.is_some_and(|wanted| len < wanted.len() as u64);
    if found.differs.is_none() && is_short {
        found.differs = Some(len);
    }
    Ok(found)
}
