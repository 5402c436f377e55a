//! What a user may write beside the attribute: own derives, serde's settings, docs, raw
//! identifiers, visibility, names that hide those of the prelude.

#![deny(missing_docs, unused)]
#![allow(dead_code, unreachable_pub, non_camel_case_types, reason = "that is what is tested")]

use factum_app::{Event, EventSet, event, serde};

mod inner {
    use super::*;

    /// Hides what the attributes must not depend on.
    pub(super) enum Option {}
    pub(super) type Result = Option;
    pub(super) type Vec = Option;
    pub(super) type String = Option;
    pub(super) fn _use(_: Option, _: Result, _: Vec, _: String) {}

    /// Documented.
    #[event("r.typed", stream = "r-{kind}")]
    #[derive(Eq, Hash, Clone, serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct r#struct {
        /// A raw name.
        #[tag("kind")]
        pub(crate) r#type: u32,
        /// Two words.
        #[tag]
        #[serde(default, rename = "several")]
        pub two_words: std::vec::Vec<std::string::String>,
    }

    /// A unit.
    #[event("r.ended", stream = "r")]
    pub struct Ended;
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EventSet)]
enum Set {
    /// Raw.
    r#Fn(inner::r#struct),
}

/// A set of a set and an event.
#[derive(Clone, Debug, EventSet)]
enum Both {
    /// The set.
    Set(Set),
    /// The event.
    Ended(inner::Ended),
}

#[test]
fn what_a_user_writes_is_respected() {
    let one = inner::r#struct { r#type: 7, two_words: vec!["a".into(), "b".into()] };
    assert_eq!(Event::tag_values(&one).len(), 3);
    assert_eq!(Event::stream(&one).unwrap().as_str(), "r-7");
    let json = String::from_utf8(EventSet::encode(&one).unwrap()).unwrap();
    assert_eq!(json, r#"{"type":7,"several":["a","b"]}"#);
    let both = Both::from(Set::from(one));
    assert_eq!(both.info().tags, ["kind", "two_words"]);
}
