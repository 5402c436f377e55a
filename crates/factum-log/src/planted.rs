//! Bugs on purpose, for the reliability programme to catch: its rows are as good as what they find.
//!
//! For tests only. Without the feature `planted` every question is answered with a constant
//! `false`, and nothing of this is in the engine.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "public for its tests only"))]
#![cfg_attr(not(feature = "zstd"), allow(dead_code, reason = "some bugs are of compressing"))]

factum_core::planted_bugs! {
    /// An append is acknowledged before it is durable.
    AcknowledgeBeforeSync,
    /// A group is acknowledged, and written when more of them have come.
    WriteLater,
    /// A failed write passes for one that did not fail.
    IgnoreWriteError,
    /// A full disk is taken for one that is broken.
    PoisonWhenFull,
    /// Readers see a group before it is durable.
    PublishBeforeSync,
    /// A failed sync passes for one that did not fail.
    IgnoreSyncError,
    /// A failed sync is tried again, and believed.
    RetrySync,
    /// A refusal is answered though what it was judged against was never durable.
    KeepRefusals,
    /// A segment that was sealed is written on in where the next one could not be named.
    GoOnAfterSeal,
    /// The names of new files are not made durable.
    SkipFolderSync,
    /// A segment is sealed without a sync.
    SealWithoutSync,
    /// The next segment gets its name before the last one is sealed.
    NameBeforeSeal,
    /// The next segment gets its name before it is durable.
    NameBeforeSync,
    /// How far the log reached is said before the log does.
    CloseBeforeMark,
    /// A frame says that its own group was durable.
    ClaimTooMuch,
    /// What opening found is served before it is known to be durable.
    SkipSyncAtOpen,
    /// Everything from the first bad frame on is cut, acknowledged or not.
    CutAtFirstBad,
    /// How far the log reached when it was closed is not asked for.
    IgnoreClosed,
    /// A torn tail is left where it is.
    KeepTornTail,
    /// The whole frames of an append that is not whole are served.
    AcceptIncomplete,
    /// An index file gets its name before it is durable.
    UnsyncedIndex,
    /// A merge of the directory leaves out the last segment.
    ForgetInMerge,
    /// Frames of another segment pass for this one's.
    IgnoreSeed,
    /// Frames are not checked.
    TrustFrames,
    /// Pages of an index file are not checked.
    TrustIndex,
    /// Recorded times are searched without checking frames.
    TrustRecordedTimes,
    /// A folder that is open is opened a second time.
    SkipLock,
    /// A new segment does not carry the tracked positions.
    ForgetTracking,
    /// A new segment does not carry the time before which nothing is recorded.
    ForgetFloor,
    /// Recorded times go back with the clock.
    ClockGoesBack,
    /// Verifying does not look at bytes that are not in use.
    SkipUnused,
    /// A copied segment gets its name before it is durable.
    UnsyncedCopy,
    /// A backup says what it holds before it holds it.
    ManifestFirst,
    /// Scrubbing leaves index files out.
    SkipIndexScrub,
    /// A segment that was moved goes before its marker is durable.
    RemoveUnmarked,
    /// A segment that was fetched back gets its name before it is durable.
    UnsyncedFetch,
    /// A compressed segment, or one brought back, gets its name before it is durable.
    UnsyncedPacking,
    /// A segment's other file goes before the new one has its name durably.
    RemoveBeforePacked,
    /// A compressed segment is not read back before the plain one goes.
    TrustPacking,
    /// The compressed file of a segment that was written anew stays.
    KeepOutdated,
    /// Blocks of compressed segments are not checked.
    TrustBlocks,
    /// A rewritten segment gets its name before it is durable.
    UnsyncedRewrite,
    /// Scavenging takes the last event of a stream.
    ScavengeLastEvent,
    /// Scavenging takes what was recorded within the grace.
    ForgetGrace,
    /// Names are remembered by a segment's base, so that a rewritten one's are the old ones'.
    StaleNames,
    /// An erasure is acknowledged before the segment is rewritten.
    EraseOnPaper,
    /// A damaged segment is replaced before it is put aside.
    ReplaceBeforeAside,
    /// Half of an append stays where the segment is put aside.
    SalvageHalf,
    /// Not all that is lost is said to be.
    ForgetRange,
    /// A replica shows what came before it is durable.
    ReplicaShowsEarly,
    /// A replica writes frames that say more is durable than is durable on its own disk.
    ReplicaClaimsMore,
    /// A replica keeps a segment that its source has rewritten.
    ReplicaKeepsOld,
    /// Readers are told of all but the last event.
    HeadBehind,
    /// Who waits for the head is woken before it has moved.
    WakeBeforePublish,
    /// A read goes up to what is indexed, durable or not.
    ReadToIndexEnd,
    /// An append is not judged against those before it in its group.
    JudgeDurableOnly,
    /// Tracked positions are not judged against those before them in their group.
    TrackedOfDurableOnly,
    /// A retry is looked for in the newest segment only.
    FindInNewestOnly,
    /// Whatever stands where a retry would is taken for it.
    TrustHint,
    /// The last revision of a stream counts the newest segment's events only.
    CountInSegment,
    /// The writer does not learn of new metadata.
    StaleMetadata,
    /// The writer does not learn of tombstones.
    ForgetTombstone,
    /// A condition after a position looks at that position too.
    NoMatchInclusive,
    /// A subscription from a checkpoint passes over the next event.
    ResumeTooLate,
    /// As of a moment, one event more is there.
    AsOfOneMore,
    /// An event that a batch has no room for is passed over.
    PassWithoutRoom,
}

/// Yields for a while, as a busy machine makes a thread do: for bugs that depend on who comes
/// first.
pub(crate) fn pause() {
    for _ in 0..1000 {
        std::thread::yield_now();
    }
}
