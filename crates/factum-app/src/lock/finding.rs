//! What is wrong with a change, and what would be right instead.

use std::fmt;

/// One thing that would make old facts unreadable, or not to be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Which event: its name.
    pub event_type: String,
    /// Which version.
    pub version: u32,
    /// Which field, as a path; empty where it is about the whole.
    pub field: String,
    /// What is wrong.
    pub what: String,
    /// Which change would be safe.
    pub safe: String,
}

impl Finding {
    /// Whether something is known already about the same version.
    pub(super) fn is_in(&self, known: &[Self]) -> bool {
        let of = |one: &Self| (one.event_type.clone(), one.version);
        known.iter().any(|one| of(one) == of(self))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}: ", self.event_type, self.version)?;
        if !self.field.is_empty() {
            write!(f, "`{}` ", self.field)?;
        }
        write!(f, "{}\n    safe: {}", self.what, self.safe)
    }
}

/// All of them, one a line and what is safe below each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|one| write!(f, "\n  {one}"))
    }
}
