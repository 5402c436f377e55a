//! What a power cut leaves: of every change that was not durable, some.

use super::{
    SECTOR,
    fs::{Change, Dir, Entry, Fs, Inode},
};
use crate::dice::Dice;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What happens to changes that are not durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Lost,
    Kept,
    /// Each on its own: kept, lost, or torn.
    Mixed,
    /// Each sector on its own.
    Shredded,
}

const FATES: [Fate; 6] =
    [Fate::Lost, Fate::Kept, Fate::Mixed, Fate::Mixed, Fate::Mixed, Fate::Shredded];

/// What of a file a sector or the length of it is.
pub(super) enum Piece {
    /// Of which change, and how many sectors that has.
    Sector(usize, usize),
    Len,
}

/// Applies those pieces of what is pending that are to be kept, in their order. The file is at
/// least so long then.
pub(super) fn settle(inode: &Inode, least: usize, mut keep: impl FnMut(Piece) -> bool) -> Vec<u8> {
    let mut bytes = inode.durable.to_vec();
    let mut len = bytes.len();
    for (nth, change) in inode.pending.iter().enumerate() {
        match change {
            Change::Len(new) => {
                if keep(Piece::Len) {
                    len = *new;
                }
            }
            Change::Sectors(first, image) => {
                let count = image.len().div_ceil(SECTOR);
                for (sector, image) in (*first..).zip(image.chunks(SECTOR)) {
                    if !keep(Piece::Sector(nth, count)) {
                        continue;
                    }
                    let at = sector * SECTOR;
                    if bytes.len() < at + image.len() {
                        bytes.resize(at + image.len(), 0);
                    }
                    bytes[at..at + image.len()].copy_from_slice(image);
                }
            }
        }
    }
    // Sectors past the length that was kept are not part of the file; what lies between is zero.
    bytes.resize(len.max(least), 0);
    bytes
}

impl Fs {
    /// The disk after a power cut now.
    #[must_use]
    pub fn cut(&self, dice: &mut Dice) -> Self {
        self.cut_to(*dice.pick(&FATES), dice)
    }

    /// The disk after a power cut that lost all that could be lost, or nothing.
    #[must_use]
    pub fn cut_clean(&self, is_kept: bool) -> Self {
        let overall = if is_kept { Fate::Kept } else { Fate::Lost };
        self.cut_to(overall, &mut Dice::new(0))
    }

    fn cut_to(&self, overall: Fate, dice: &mut Dice) -> Self {
        let mut after = Self { next: self.next, ..Self::default() };
        for (path, dir) in &self.dirs {
            after.dirs.insert(path.clone(), cut_dir(dir, overall, dice));
        }
        for (ino, inode) in &self.inodes {
            after.inodes.insert(*ino, cut_inode(inode, overall, dice));
        }
        after.forget_unreachable();
        after
    }

    /// Folders whose entry was lost are gone with all that is in them, and files without a name.
    fn forget_unreachable(&mut self) {
        let known: Vec<PathBuf> = self.dirs.keys().cloned().collect();
        for path in known.iter().filter(|path| !self.is_reachable(path)).collect::<Vec<_>>() {
            self.dirs.remove(path);
        }
        let named = |dir: &Dir| dir.cache.values().copied().collect::<Vec<_>>();
        let entries: Vec<Entry> = self.dirs.values().flat_map(named).collect();
        self.inodes.retain(|ino, _| entries.contains(&Entry::File(*ino)));
    }

    fn is_reachable(&self, path: &Path) -> bool {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return true };
        let entry = self.dirs.get(parent).and_then(|dir| dir.cache.get(&*name.to_string_lossy()));
        entry == Some(&Entry::Dir) && self.is_reachable(parent)
    }
}

fn cut_dir(dir: &Dir, overall: Fate, dice: &mut Dice) -> Dir {
    let mut entries = dir.durable.clone();
    for (name, versions) in &dir.pending {
        let chosen = match overall {
            Fate::Lost => continue,
            Fate::Kept => versions.len(),
            Fate::Mixed | Fate::Shredded => dice.index(versions.len() + 1),
        };
        match chosen.checked_sub(1).map(|nth| versions[nth]) {
            None => {}
            Some(None) => drop(entries.remove(name)),
            Some(Some(entry)) => drop(entries.insert(name.clone(), entry)),
        }
    }
    Dir { cache: entries.clone(), durable: entries, pending: Default::default() }
}

fn cut_inode(inode: &Inode, overall: Fate, dice: &mut Dice) -> Inode {
    let bytes = match overall {
        _ if inode.pending.is_empty() => inode.durable.clone(),
        Fate::Lost => inode.durable.clone(),
        Fate::Kept => inode.flushed(),
        Fate::Shredded => Arc::new(settle(inode, 0, |_| dice.one_in(2))),
        Fate::Mixed => Arc::new(mixed(inode, dice)),
    };
    Inode { cache: bytes.clone(), durable: bytes, pending: Vec::new(), forked: false }
}

fn mixed(inode: &Inode, dice: &mut Dice) -> Vec<u8> {
    // Which write the last piece was of, what becomes of it, and how many of its sectors passed.
    let (mut of, mut fate, mut passed, mut torn_at) = (usize::MAX, Fate::Lost, 0, 0);
    settle(inode, 0, |piece| match piece {
        Piece::Len => dice.one_in(2),
        Piece::Sector(nth, count) => {
            if nth != of {
                (of, passed, torn_at) = (nth, 0, dice.below(count as u64 + 1));
                fate = *dice.pick(&[Fate::Kept, Fate::Lost, Fate::Mixed, Fate::Shredded]);
            }
            passed += 1;
            match fate {
                Fate::Kept => true,
                Fate::Lost => false,
                // The front of it.
                Fate::Mixed => passed <= torn_at,
                Fate::Shredded => dice.one_in(2),
            }
        }
    })
}
