//! Bugs on purpose, for the reliability programme to catch: its rows are as good as what they find.
//!
//! For tests only. Without the feature `planted` every question is answered with a constant
//! `false`, and nothing of this is in the engine.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "public for its tests only"))]

/// A bug that can be switched on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// An append is acknowledged before it is durable.
    AcknowledgeBeforeSync,
    /// A failed sync is tried again, and believed.
    RetrySync,
    /// The names of new files are not made durable.
    SkipFolderSync,
    /// A segment is sealed without a sync.
    SealWithoutSync,
    /// What opening found is served before it is known to be durable.
    SkipSyncAtOpen,
    /// Everything from the first bad frame on is cut, acknowledged or not.
    CutAtFirstBad,
    /// A torn tail is left where it is.
    KeepTornTail,
    /// The whole frames of an append that is not whole are served.
    AcceptIncomplete,
    /// An index file gets its name before it is durable.
    UnsyncedIndex,
    /// Frames of another segment pass for this one's.
    IgnoreSeed,
    /// Frames are not checked.
    TrustFrames,
    /// Pages of an index file are not checked.
    TrustIndex,
    /// Recorded times are searched without checking frames.
    TrustRecordedTimes,
    /// A new segment does not carry the tracked positions.
    ForgetTracking,
    /// Recorded times go back with the clock.
    ClockGoesBack,
    /// Verifying does not look at bytes that are not in use.
    SkipUnused,
    /// A copied segment gets its name before it is durable.
    UnsyncedCopy,
    /// A backup says what it holds before it holds it.
    ManifestFirst,
    /// A rewritten segment gets its name before it is durable.
    UnsyncedRewrite,
    /// Scavenging takes the last event of a stream.
    ScavengeLastEvent,
    /// Scavenging takes what was recorded within the grace.
    ForgetGrace,
    /// Names are remembered by a segment's base, so that a rewritten one's are the old ones'.
    StaleNames,
}

impl Bug {
    /// All of them.
    #[cfg(feature = "planted")]
    pub const ALL: [Self; 22] = [
        Self::AcknowledgeBeforeSync,
        Self::RetrySync,
        Self::SkipFolderSync,
        Self::SealWithoutSync,
        Self::SkipSyncAtOpen,
        Self::CutAtFirstBad,
        Self::KeepTornTail,
        Self::AcceptIncomplete,
        Self::UnsyncedIndex,
        Self::IgnoreSeed,
        Self::TrustFrames,
        Self::TrustIndex,
        Self::TrustRecordedTimes,
        Self::ForgetTracking,
        Self::ClockGoesBack,
        Self::SkipUnused,
        Self::UnsyncedCopy,
        Self::ManifestFirst,
        Self::UnsyncedRewrite,
        Self::ScavengeLastEvent,
        Self::ForgetGrace,
        Self::StaleNames,
    ];
}

#[cfg(feature = "planted")]
static ON: std::sync::Mutex<Option<Bug>> = std::sync::Mutex::new(None);

/// Switches one bug on, or all off, in the whole process.
#[cfg(feature = "planted")]
pub fn set(bug: Option<Bug>) {
    *ON.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bug;
}

/// Whether a bug is on.
#[cfg(feature = "planted")]
pub(crate) fn is_on(bug: Bug) -> bool {
    *ON.lock().unwrap_or_else(std::sync::PoisonError::into_inner) == Some(bug)
}

/// Whether a bug is on: never.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is_on(_: Bug) -> bool {
    false
}
