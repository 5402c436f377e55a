//! The members of a set, as the compiler and a program that describes itself look at them.

use super::{EventInfo, upcast::same};

/// The members of a set: one event, or those of the sets in it.
#[derive(Debug)]
pub enum Members {
    /// The set is one event.
    One(EventInfo),
    /// The set is an enum of these.
    Sets(&'static [&'static Self]),
    /// Read as others of the set, see [`super::ReadAs`]; never written again.
    History(&'static Self),
}

impl Members {
    /// Every event that is read, in the order of the enum, its history at the end.
    #[must_use]
    pub fn list(&'static self) -> Vec<&'static EventInfo> {
        match self {
            Self::One(info) => vec![info],
            Self::Sets(sets) => sets.iter().flat_map(|set| set.list()).collect(),
            Self::History(old) => old.list(),
        }
    }

    /// Every event that there is a variant for.
    #[must_use]
    pub fn current(&'static self) -> Vec<&'static EventInfo> {
        match self {
            Self::One(info) => vec![info],
            Self::Sets(sets) => sets.iter().flat_map(|set| set.current()).collect(),
            Self::History(_) => Vec::new(),
        }
    }

    /// Whether several members have one name: versions side by side, each taking its own.
    #[must_use]
    pub const fn side_by_side(&'static self) -> bool {
        self.twice_in(self, false)
    }

    /// Stops the compiler at a set with one version of an event twice: the second would never be
    /// reached.
    pub const fn check(&'static self) {
        assert!(!self.twice_in(self, true), "a set has the same version of an event twice");
    }

    /// Whether a member of this is found twice in the whole.
    const fn twice_in(&self, whole: &Self, same_version: bool) -> bool {
        match self {
            Self::One(info) => whole.count(info, same_version) > 1,
            Self::History(old) => old.twice_in(whole, same_version),
            Self::Sets(sets) => {
                let mut rest: &[&Self] = sets;
                while let [first, others @ ..] = rest {
                    if first.twice_in(whole, same_version) {
                        return true;
                    }
                    rest = others;
                }
                false
            }
        }
    }

    const fn count(&self, wanted: &EventInfo, same_version: bool) -> usize {
        match self {
            Self::One(info) => {
                let version = !same_version || info.version == wanted.version;
                (version && same(info.event_type, wanted.event_type)) as usize
            }
            Self::History(old) => old.count(wanted, same_version),
            Self::Sets(sets) => {
                let (mut rest, mut count): (&[&Self], usize) = (sets, 0);
                while let [first, others @ ..] = rest {
                    count += first.count(wanted, same_version);
                    rest = others;
                }
                count
            }
        }
    }

    /// Which version of an event reads one that was stored with `version`: its own, or the next
    /// above it that there is, otherwise the newest.
    #[must_use]
    pub(super) fn reader(&'static self, event_type: &str, version: u32) -> Option<u32> {
        let members = self.list();
        let of_name = members.iter().filter(|info| info.event_type == event_type);
        let versions: Vec<u32> = of_name.map(|info| info.version).collect();
        let above = versions.iter().filter(|one| **one >= version).min();
        above.or(versions.iter().max()).copied()
    }
}
