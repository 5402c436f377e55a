//! Pairs of Rust types as they change in practice, and all pairs of a small zoo: where nothing is
//! found, every old value must be readable.

use super::narrowed;
use crate::lock::canonical::canonical;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn schema<T: JsonSchema>() -> Value {
    canonical(crate::event::schema_of::<T>().as_value())
}

/// What is found between two types, as `field: what`.
fn found<Old: JsonSchema, New: JsonSchema>() -> Vec<String> {
    let found = narrowed(&schema::<Old>(), &schema::<New>());
    found.into_iter().map(|one| format!("{}: {}", one.field, one.what)).collect()
}

#[track_caller]
fn check<Old: JsonSchema, New: JsonSchema>(expect: &[&str]) {
    assert_eq!(found::<Old, New>(), expect);
}

/// One struct a module, so that all may be called the same.
macro_rules! shapes {
    ($($name:ident { $($body:tt)* })*) => {
        $(
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            struct $name { $($body)* }
        )*
    };
}

shapes! {
    Placed { order: u32, total: u32 }
    WithNote { order: u32, total: u32, note: Option<String> }
    WithDefault { order: u32, total: u32, #[serde(default)] urgent: bool }
    WithRequired { order: u32, total: u32, urgent: bool }
    Wider { order: u64, total: i64 }
    Narrower { order: u8, total: u32 }
    Retyped { order: String, total: u32 }
    Without { order: u32 }
    Optional { order: u32, total: Option<u32> }
    Renamed { order: u32, #[serde(rename = "total")] sum: u32 }
    Floats { order: u32, total: f64 }
    Lines { lines: Vec<Line> }
    Line { article: String, count: u16 }
    OptionLines { lines: Vec<Option<Line>> }
    Linked { next: Option<Box<Linked>>, value: u32 }
    LinkedText { next: Option<Box<LinkedText>>, value: String }
    Chosen { colour: Colour }
    ChosenMore { colour: MoreColours }
    ChosenTagged { colour: Tagged }
    ChosenOption { colour: Option<Colour> }
    Mapped { prices: BTreeMap<String, u32> }
    MappedOption { prices: BTreeMap<String, Option<u64>> }
    MappedText { prices: BTreeMap<String, String> }
    Numbered { prices: BTreeMap<u32, u32> }
    Set { all: BTreeSet<u32> }
    List { all: Vec<u32> }
    Pair { all: (u32, String) }
    Triple { all: (u32, String, bool) }
    Id { id: uuid::Uuid }
    Text { id: String }
    Empty {}
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Colour {
    Red,
    Mixed { parts: Vec<u32> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
enum MoreColours {
    Red,
    /// With another payload that holds the old one.
    Mixed {
        parts: Vec<u64>,
        #[serde(default)]
        glossy: bool,
    },
    Blue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Tagged {
    Red { depth: u32 },
    Blue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum TaggedRequired {
    Red { depth: u32, hue: u32 },
    Blue,
}

#[test]
fn safe_changes_are_found_safe() {
    check::<Placed, Placed>(&[]);
    check::<Placed, WithNote>(&[]);
    check::<Placed, WithDefault>(&[]);
    check::<Placed, Wider>(&[]);
    check::<Placed, Optional>(&[]);
    check::<Placed, Renamed>(&[]);
    check::<Placed, Floats>(&[]);
    check::<Chosen, ChosenMore>(&[]);
    check::<Chosen, ChosenOption>(&[]);
    check::<Lines, OptionLines>(&[]);
    check::<Linked, Linked>(&[]);
    check::<Mapped, MappedOption>(&[]);
    check::<Set, List>(&[]);
    check::<List, Set>(&[]);
    check::<Id, Text>(&[]);
}

#[test]
fn changes_that_cannot_be_read_are_found_and_named() {
    check::<Placed, WithRequired>(&["urgent: is new, and facts do not have it"]);
    check::<WithDefault, WithRequired>(&[
        "urgent: is missing in some facts, and must be there now",
    ]);
    check::<Placed, Without>(&["total: is gone, and facts have it"]);
    check::<Placed, Retyped>(&["order: was integer (uint32), and is string now"]);
    check::<Placed, Narrower>(&[
        "order: was integer (uint32), and is integer (uint8) now, which does not hold all of it",
    ]);
    check::<Optional, Placed>(&[
        "total: may be absent in old facts, and must be there now",
        "total: is missing in some facts, and must be there now",
    ]);
    check::<Linked, LinkedText>(&["value: was integer (uint32), and is string now"]);
    check::<ChosenMore, Chosen>(&[
        "colour: was \"Blue\" in some facts, which is not among what it may be now",
        "colour.Mixed.glossy: is gone, and facts have it",
        "colour.Mixed.parts[]: was integer (uint64), and is integer (uint32) now, which does not \
         hold all of it",
    ]);
    check::<Mapped, MappedText>(&["prices{}: was integer (uint32), and is string now"]);
    check::<Text, Id>(&["id: was string, and is string (uuid) now"]);
    check::<Pair, Triple>(&["all: has another number of elements"]);
    check::<Tagged, TaggedRequired>(&["hue: is new, and facts do not have it"]);
}

/// A type of the zoo: its schema, values of it, and whether a text is one of it.
struct Animal {
    name: &'static str,
    schema: Value,
    values: Vec<String>,
    reads: fn(&str) -> bool,
}

fn animal<T: JsonSchema + Serialize + DeserializeOwned>(values: Vec<T>) -> Animal {
    Animal {
        name: std::any::type_name::<T>().rsplit("::").next().unwrap_or_default(),
        schema: schema::<T>(),
        values: values.iter().map(|one| serde_json::to_string(one).unwrap()).collect(),
        reads: |text| serde_json::from_str::<T>(text).is_ok(),
    }
}

fn zoo() -> Vec<Animal> {
    let line = Line { article: "a".into(), count: 65_535 };
    let mixed = || Colour::Mixed { parts: vec![u32::MAX] };
    let map = |value: u32| BTreeMap::from([("a".to_owned(), value)]);
    let linked = Linked { next: None, value: 1 };
    let next = Some(Box::new(Linked { next: None, value: 2 }));
    vec![
        animal(vec![Placed { order: u32::MAX, total: 0 }]),
        animal(vec![
            WithNote { order: 1, total: u32::MAX, note: None },
            WithNote { order: 1, total: 1, note: Some("n".into()) },
        ]),
        animal(vec![WithDefault { order: 1, total: 1, urgent: true }]),
        animal(vec![WithRequired { order: 1, total: 1, urgent: true }]),
        animal(vec![Wider { order: u64::MAX, total: i64::MIN }]),
        animal(vec![Narrower { order: 255, total: u32::MAX }]),
        animal(vec![Retyped { order: "x".into(), total: 1 }]),
        animal(vec![Without { order: 1 }]),
        animal(vec![Optional { order: 1, total: None }, Optional { order: 1, total: Some(1) }]),
        animal(vec![Floats { order: 1, total: -1.5 }, Floats { order: 1, total: 1e300 }]),
        animal(vec![Lines { lines: vec![] }, Lines { lines: vec![line.clone()] }]),
        animal(vec![OptionLines { lines: vec![None, Some(line)] }]),
        animal(vec![linked, Linked { next, value: u32::MAX }]),
        animal(vec![LinkedText { next: None, value: "x".into() }]),
        animal(vec![Chosen { colour: Colour::Red }, Chosen { colour: mixed() }]),
        animal(vec![ChosenMore { colour: MoreColours::Blue }]),
        animal(vec![ChosenTagged { colour: Tagged::Blue }]),
        animal(vec![ChosenOption { colour: None }, ChosenOption { colour: Some(mixed()) }]),
        animal(vec![Mapped { prices: map(u32::MAX) }]),
        animal(vec![MappedOption { prices: BTreeMap::from([("a".to_owned(), None)]) }]),
        animal(vec![MappedText { prices: BTreeMap::from([("a".to_owned(), "x".to_owned())]) }]),
        animal(vec![Numbered { prices: BTreeMap::from([(7, 1)]) }]),
        animal(vec![Set { all: BTreeSet::from([1, 2]) }]),
        animal(vec![List { all: vec![u32::MAX, 2, 2] }]),
        animal(vec![Pair { all: (1, "x".into()) }]),
        animal(vec![Triple { all: (1, "x".into(), true) }]),
        animal(vec![Id { id: uuid::Uuid::from_u128(1) }]),
        animal(vec![Text { id: "no uuid".into() }]),
        animal(vec![Empty {}]),
    ]
}

#[test]
fn of_all_pairs_what_is_found_safe_can_be_read() {
    let zoo = zoo();
    let (mut safe, mut unreadable) = (0, 0);
    for (old, new) in zoo.iter().flat_map(|old| zoo.iter().map(move |new| (old, new))) {
        let found = narrowed(&old.schema, &new.schema);
        let readable = old.values.iter().all(|value| (new.reads)(value));
        safe += usize::from(found.is_empty());
        unreadable += usize::from(!readable);
        assert!(readable || !found.is_empty(), "{} read as {}", old.name, new.name);
        assert!(old.name != new.name || found.is_empty(), "{}: {found:?}", old.name);
    }
    assert!(safe > zoo.len() && unreadable > zoo.len(), "{safe} safe, {unreadable} unreadable");
}

#[test]
fn what_is_not_understood_must_be_unchanged() {
    let old = serde_json::json!({ "type": "string", "pattern": "a" });
    assert_eq!(narrowed(&old, &old), []);
    let new = serde_json::json!({ "type": "string", "pattern": "b" });
    assert_eq!(narrowed(&old, &new).len(), 1);
    assert_eq!(narrowed(&new, &serde_json::json!({ "type": "string" })), []);
    let nowhere = serde_json::json!({ "$ref": "#/$defs/nowhere" });
    assert_eq!(narrowed(&old, &nowhere).len(), 1);
}
