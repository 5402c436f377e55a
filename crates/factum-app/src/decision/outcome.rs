//! The three outcomes of a decision: emit, nothing, refuse.

use super::{Decision, Parts};
use std::borrow::Cow;

/// What a decision comes to. `Err` is the refusal, so that `?` refuses.
pub type Outcome<D> =
    Result<Emit<<<D as Decision>::State as Parts>::Event>, <D as Decision>::Refusal>;

/// The events of a decision; none, with the reason, is an outcome too.
#[derive(Clone, PartialEq, Debug)]
pub struct Emit<E> {
    pub(crate) events: Vec<E>,
    pub(crate) nothing: Option<Cow<'static, str>>,
}

impl<E> Emit<E> {
    /// The same and one more event.
    #[must_use]
    pub fn and(mut self, event: impl Into<E>) -> Self {
        self.events.push(event.into());
        self.nothing = None;
        self
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[E] {
        &self.events
    }

    /// Why there are none.
    #[must_use]
    pub fn why_nothing(&self) -> Option<&str> {
        self.nothing.as_deref()
    }
}

/// This happened.
///
/// # Errors
///
/// Never; the type is that of an outcome.
pub fn emit<E, R>(event: impl Into<E>) -> Result<Emit<E>, R> {
    Ok(Emit { events: vec![event.into()], nothing: None })
}

/// All of this happened, in this order. Of no event at all it says so.
///
/// # Errors
///
/// Never; the type is that of an outcome.
pub fn emit_all<E, R>(events: impl IntoIterator<Item = impl Into<E>>) -> Result<Emit<E>, R> {
    let events: Vec<E> = events.into_iter().map(Into::into).collect();
    let nothing = events.is_empty().then_some(Cow::Borrowed("there was nothing to do"));
    Ok(Emit { events, nothing })
}

/// Nothing is to happen, and why: it has been done already, for instance.
///
/// # Errors
///
/// Never; the type is that of an outcome.
pub fn nothing<E, R>(why: impl Into<Cow<'static, str>>) -> Result<Emit<E>, R> {
    Ok(Emit { events: Vec::new(), nothing: Some(why.into()) })
}

/// The command is refused.
///
/// # Errors
///
/// The refusal, always.
pub fn refuse<E, R>(refusal: R) -> Result<Emit<E>, R> {
    Err(refusal)
}

/// Goes on if a rule holds: `ensure(total > 0, Rejected::Empty)?;`
///
/// # Errors
///
/// The refusal, where it does not hold.
pub fn ensure<R>(holds: bool, refusal: R) -> Result<(), R> {
    if holds { Ok(()) } else { Err(refusal) }
}
