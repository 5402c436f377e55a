//! Prefixes as ranges of names, in the order of their bytes: what an index can go by.

use std::fmt;

/// Ranges of names, each from its first, inclusive, to its end, exclusive; without an end, all that
/// follow.
#[derive(Debug, Default)]
pub(crate) struct Prefixes(Vec<(String, Option<String>)>);

impl Prefixes {
    /// The names that begin with one of these.
    pub(crate) fn of(prefixes: &[&str]) -> Self {
        Self(prefixes.iter().map(|prefix| ((*prefix).to_owned(), end_of(prefix))).collect())
    }

    /// The categories of streams whose names begin with one of these: where the prefix holds the
    /// whole category, that one; otherwise those that begin with it.
    pub(crate) fn categories_of(prefixes: &[&str]) -> Self {
        let range = |prefix: &&str| match prefix.split_once('-') {
            // No name has a NUL: nothing lies between a name and the name with U+0001 added.
            Some((category, _)) => (category.to_owned(), Some(format!("{category}\u{1}"))),
            None => ((*prefix).to_owned(), end_of(prefix)),
        };
        Self(prefixes.iter().map(range).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a list of pairs.
    pub(crate) fn to_json(&self) -> String {
        let pair = |(first, end): &(String, Option<String>)| {
            let (first, end) = (first.clone(), end.clone());
            nojson::array(move |f| {
                f.element(&first)?;
                f.element(&end)
            })
            .to_string()
        };
        Pairs(self.0.iter().map(pair).collect()).to_string()
    }
}

struct Pairs(Vec<String>);

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0.join(","))
    }
}

/// The first text after all that begin with this one; `None` where there is no such text.
pub(crate) fn end_of(prefix: &str) -> Option<String> {
    let mut kept = prefix.to_owned();
    while let Some(last) = kept.pop() {
        // The next character: past the surrogates, which are none.
        let next = u32::from(last) + 1;
        let next = if next == 0xD800 { 0xE000 } else { next };
        if let Some(next) = char::from_u32(next) {
            kept.push(next);
            return Some(kept);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text() {
        for (prefix, end) in [
            ("", None),
            ("a", Some("b")),
            ("a-", Some("a.")),
            ("a\u{7f}", Some("a\u{80}")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
        ] {
            assert_eq!(end_of(prefix).as_deref(), end, "{prefix:?}");
        }
    }

    #[test]
    fn a_prefix_allows_categories() {
        let ranges = |prefix| Prefixes::categories_of(&[prefix]).to_json();
        assert_eq!(ranges("ord"), r#"[["ord","ore"]]"#);
        assert_eq!(ranges("order-1"), "[[\"order\",\"order\\u0001\"]]");
        assert_eq!(ranges(""), r#"[["",null]]"#);
    }
}
