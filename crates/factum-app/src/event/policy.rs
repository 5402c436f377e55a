//! What a consumer does with facts that its program does not know: by default nothing is guessed.

/// What a consumer does about types and versions that it does not know.
///
/// A decision has no such choice: it is never made on facts that were only half read.
///
/// ```
/// use factum_app::event::{DecodePolicy, Newer, Unknown};
///
/// // What is usual: types of others are not its business, newer versions stop it.
/// let usual = DecodePolicy { unknown: Unknown::Skip, newer: Newer::Refuse };
/// assert_eq!(DecodePolicy::default(), usual);
/// // An audit that must not miss a type; a dashboard that rather shows most than nothing.
/// let audit = DecodePolicy { unknown: Unknown::Refuse, ..DecodePolicy::default() };
/// let dashboard = DecodePolicy { newer: Newer::Tolerate, ..DecodePolicy::default() };
/// # let _ = (audit, dashboard);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DecodePolicy {
    /// About types that are not of its set.
    pub unknown: Unknown,
    /// About versions above the newest of its set.
    pub newer: Newer,
}

/// What a consumer does with a fact whose type is not of its set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unknown {
    /// Goes on to the next: it is not its business.
    #[default]
    Skip,
    /// Stops with [`super::Why::Unknown`]: every type that it is given must be in its set. Types of
    /// the store itself, which begin with `$`, are skipped all the same.
    Refuse,
}

/// What a consumer does with a fact that a newer release of the program wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Newer {
    /// Stops with [`super::Why::Newer`], until the newer release runs here too.
    #[default]
    Refuse,
    /// Reads of it what the newest struct that it knows can hold, and leaves the rest alone; where
    /// that does not fit it stops all the same.
    Tolerate,
}
