//! How far a consumer is, for who waits for it and who looks at it.

use factum_core::Position;
use std::sync::Arc;

/// What a consumer is doing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RunState {
    /// It was registered, and has not begun.
    #[default]
    Starting,
    /// It follows.
    Running,
    /// The store or its target is away; it tries again.
    Away {
        /// What was said.
        why: Arc<str>,
    },
    /// Another instance of the app has it.
    Elsewhere,
    /// There is nothing to do until somebody asks for it.
    Idle,
    /// Somebody paused it.
    Paused,
    /// An event failed, and the policy is to stop; or something is wrong that waiting does not
    /// mend. It goes on when it is resumed.
    Stopped {
        /// What was wrong.
        why: Arc<str>,
    },
    /// The app is gone.
    Ended,
}

/// How far a consumer is. Moves by notification: `ConsumerHandle::progress`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// What it is doing.
    pub state: RunState,
    /// Everything that it follows has been handled and committed up to here.
    pub through: Position,
    /// Of which generation that is, see [`super::Handler::generation`].
    pub generation: u64,
    /// Nothing more was there when it last looked.
    pub caught_up: bool,
    /// Events handled since the app began.
    pub handled: u64,
    /// Failures since the app began, of events and of the world.
    pub errors: u64,
    /// Events left out since the app began.
    pub skipped: u64,
    /// Events that wait, put aside or behind one that was.
    pub parked: u64,
    /// The last failure.
    pub last_error: Option<Arc<str>>,
}
