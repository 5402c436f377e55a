//! Routing: which instance an event is for. A total function, so that no event is forgotten.

use std::fmt::Display;

/// Which instance of a process an event is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route(Option<(How, String)>);

/// What an event does to its instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Start,
    Proceed,
    Stop,
}

impl Route {
    /// To the instance with this key; where none is running it starts, anew if one has ended.
    pub fn start(key: impl Display) -> Self {
        Self(Some((How::Start, key.to_string())))
    }

    /// To the instance with this key; where none is running it is none of its business.
    pub fn proceed(key: impl Display) -> Self {
        Self(Some((How::Proceed, key.to_string())))
    }

    /// As [`Route::proceed`], and the instance ends with it, whatever it reacts.
    pub fn stop(key: impl Display) -> Self {
        Self(Some((How::Stop, key.to_string())))
    }

    /// To none.
    #[must_use]
    pub fn ignore() -> Self {
        Self(None)
    }

    /// The key of the instance, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.as_ref().map(|(_, key)| key.as_str())
    }

    /// Whether it starts an instance where none is running.
    #[must_use]
    pub fn starts(&self) -> bool {
        self.0.as_ref().is_some_and(|(how, _)| *how == How::Start)
    }

    /// Whether the instance ends with it.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.0.as_ref().is_some_and(|(how, _)| *how == How::Stop)
    }

    pub(crate) fn into_parts(self) -> Option<(How, String)> {
        self.0
    }
}
