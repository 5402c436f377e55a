//! Giving a rewritten segment its name and its place.

use super::output::Output;
use crate::{
    error::Fault,
    index::Index,
    recovery::index_segment,
    segment::{Parts, Segment},
    shared::Shared,
};
use std::sync::{Arc, PoisonError};

/// Puts a file that is whole and durable in the place of the segment that it was made of.
///
/// A failure before the rename leaves everything as it was. One after it leaves it open which of
/// the two the next opening finds, each of them whole: the store takes no more writes until then.
pub(super) fn install(
    shared: &Shared,
    before: &Segment,
    (output, end): (Output, u64),
) -> Result<Arc<Segment>, Fault> {
    let disk = &*shared.options.world.disk;
    let path = before.path.clone();
    let files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = disk.rename(&output.unfinished, &path) {
        let _ = disk.remove(&output.unfinished);
        return Err(Fault::io("rename", &output.unfinished)(error));
    }
    let synced = disk.sync_dir(&shared.dir).map_err(Fault::io("sync", &shared.dir));
    synced.inspect_err(|fault| shared.poison(fault))?;
    let Output { header, file, index, .. } = output;
    let (lost, missing) = (index.lost().clone(), Vec::new());
    let index = Index::memory(index);
    let segment = Segment::new(Parts { header, path, file, index, missing, lost, end });
    let segment = Arc::new(segment);
    shared.replace_segment(before, segment.clone());
    // Without its file the index stays in memory, and is made anew at the next opening.
    let _ = index_segment(&shared.dir, &shared.options, &segment);
    drop(files);
    Ok(segment)
}
