//! The rule that gives an event its stream.

use factum_core::{InvalidName, StreamName};

/// Which stream an event goes to: `category-VALUE`, where the value is that of a tag; without a
/// tag, one stream named like the category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamRule {
    /// What comes before the `-`.
    pub category: &'static str,
    /// The key of the tag whose value comes after it.
    pub tag: Option<&'static str>,
}

/// `order-{order}`
impl std::fmt::Display for StreamRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tag {
            Some(tag) => write!(f, "{}-{{{tag}}}", self.category),
            None => f.write_str(self.category),
        }
    }
}

impl StreamRule {
    /// The stream of something with these tags; where the tag is not among them, the bare category.
    ///
    /// # Errors
    ///
    /// The value makes no stream name: it is too long, or holds a NUL.
    pub fn name(&self, tags: &[(&'static str, String)]) -> Result<StreamName, InvalidName> {
        let value = self.tag.and_then(|key| tags.iter().find(|(one, _)| *one == key));
        match value {
            Some((_, value)) => self.of(value),
            None => StreamName::new(self.category),
        }
    }

    /// The stream of one value.
    ///
    /// # Errors
    ///
    /// As [`StreamRule::name`].
    pub fn of(&self, value: &str) -> Result<StreamName, InvalidName> {
        StreamName::new(&format!("{}-{value}", self.category))
    }
}
