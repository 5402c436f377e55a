//! Chains of versions: each struct knows the one before it, and how to become of it.

use super::{DecodeError, Event, EventInfo, Newer, Raw, decode::Why, decode_json};
use crate::personal;
use serde_json::Value;

/// A version of an event that follows another.
///
/// The chain is checked when the program is compiled: the older struct must have the same name and
/// the version before this one.
///
/// ```
/// use factum_app::{Upcast, event};
///
/// #[event("order.placed", version = 1)]
/// struct OrderPlacedV1 { #[tag] order: u64, total: u32 }
///
/// #[event("order.placed", version = 2)]
/// struct OrderPlaced { #[tag] order: u64, total_cents: u64 }
///
/// impl Upcast for OrderPlaced {
///     type Old = OrderPlacedV1;
///     fn upcast(old: OrderPlacedV1) -> Self {
///         Self { order: old.order, total_cents: u64::from(old.total) * 100 }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has a version above 1, and nothing says how older facts become one",
    label = "no `Upcast`",
    note = "write `impl Upcast for {Self}` with the struct of the version before as `type Old`, or \
            `since = N` in the attribute where no older fact was ever stored"
)]
pub trait Upcast: Event {
    /// The struct of the version before.
    type Old: Event;

    /// What the old fact means today.
    fn upcast(old: Self::Old) -> Self;
}

/// Decodes a struct with which a chain begins.
///
/// # Errors
///
/// Any other version than its own, or a payload that does not fit.
pub fn first<E: Event>(raw: &Raw<'_>) -> Result<E, DecodeError> {
    match raw.version {
        version if version > E::VERSION => newer(raw, E::VERSION),
        version if version < E::VERSION => Err(raw.error(Why::Older { known: E::VERSION })),
        _ => payload(raw),
    }
}

/// The payload of an event of this version, its personal fields opened.
fn payload<E: Event>(raw: &Raw<'_>) -> Result<E, DecodeError> {
    if E::PERSONAL.is_empty() {
        return decode_json(raw);
    }
    let mut value: Value = decode_json(raw)?;
    personal::open::<E>(raw, &mut value)?;
    serde_json::from_value(value)
        .map_err(|error| raw.error(Why::Payload { what: error.to_string().into() }))
}

/// What a newer release wrote, as far as the consumer wants that: see [`Newer`].
fn newer<E: Event>(raw: &Raw<'_>, known: u32) -> Result<E, DecodeError> {
    let refused = || raw.error(Why::Newer { known });
    match raw.policy.newer {
        Newer::Refuse => Err(refused()),
        Newer::Tolerate => payload(raw).map_err(|_| refused()),
    }
}

/// How a struct follows the one of the version before. What the attribute writes goes through here
/// alone, so that a missing [`Upcast`] is one error and not several.
#[derive(Clone, Copy, Debug)]
pub struct Chain<E> {
    /// The version before.
    pub old: &'static EventInfo,
    decode_old: fn(&Raw<'_>) -> Result<E, DecodeError>,
}

/// The chain that ends with this struct.
#[must_use]
pub const fn chain<E: Upcast>() -> Chain<E> {
    Chain {
        old: const { &<E::Old as Event>::INFO },
        decode_old: |raw| E::Old::decode(raw).map(E::upcast),
    }
}

impl<E: Event> Chain<E> {
    /// Stops the compiler at a rename or a gap. Called in a constant that the attribute writes, so
    /// that `cargo check` finds it too.
    pub const fn check(self) {
        assert!(
            same(E::TYPE, self.old.event_type),
            "an upcast cannot rename an event: `Old` has another name"
        );
        assert!(
            E::VERSION == self.old.version + 1,
            "the chain of upcasts has a gap: `Old` must be the version before this one"
        );
    }

    /// Decodes this version, or any before it.
    ///
    /// # Errors
    ///
    /// A newer version than its own, one older than the chain, or a payload that does not fit.
    pub fn decode(self, raw: &Raw<'_>) -> Result<E, DecodeError> {
        match raw.version {
            version if version > E::VERSION => newer(raw, E::VERSION),
            version if version == E::VERSION => payload(raw),
            _ => (self.decode_old)(raw),
        }
    }
}

/// Whether two names are equal. From the end, where names of one domain differ.
pub(super) const fn same(one: &str, other: &str) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let ([before @ .., a], [others @ .., b]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (before, others);
    }
    true
}
