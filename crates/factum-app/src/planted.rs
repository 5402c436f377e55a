//! Bugs on purpose, for the simulation of the framework to catch: its rows are as good as what they
//! find.
//!
//! For tests only. Without the feature `planted` every question is answered with a constant
//! `false`, and nothing of this is in the framework.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "public for its tests only"))]

factum_core::planted_bugs! {
    /// A decision is appended without the condition that nothing has come since.
    DropCondition,
    /// A command with a key is appended without the condition that it has not been done.
    DropKeyCheck,
    /// A refusal, or nothing, is answered on what the cache has.
    TrustCacheForRefusal,
    /// Where the reply to an append is lost, it is decided anew, with new ids.
    DecideAnewAfterLostReply,
    /// A retry is refused because of its own first attempt.
    ForgetKeyAtRefusal,
    /// That a stream was deleted meanwhile is no conflict.
    ForgetDeletion,
    /// The states of one decision are each read as of another moment.
    ReadApart,
    /// A snapshot passes for one of all facts up to where it was stored.
    SnapshotClaimsMore,
    /// What a store delivers a second time is handled a second time.
    HandleRepeated,
    /// The checkpoint of a projection moves before its rows are there.
    CheckpointBeforeRows,
    /// After a restart a process does not know of its timers.
    ForgetTimers,
    /// A process sends its commands without a key.
    SendWithoutKey,
    /// A row of an outbox is marked before the broker has confirmed it.
    MarkBeforePublish,
    /// A message that cannot be published is passed over, and what is behind it goes on.
    SkipPoison,
    /// A refusal is told to who sent the command, and not remembered.
    TellWithoutNote,
    /// A command is acknowledged before its answer is sent.
    AckBeforeAnswer,
    /// A command that has expired is begun all the same.
    BeginExpired,
}
