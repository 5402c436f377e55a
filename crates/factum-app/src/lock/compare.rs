//! What a new set of shapes would do to the facts of an old one.

use super::{
    Lock, Shape,
    finding::Finding,
    schema::{self, Narrowed},
};
use std::collections::BTreeSet;

/// Everything that would make facts of the `released` shapes unreadable to who has the `new` ones,
/// or not to be found. Shapes that are only in `new` are never wrong.
#[must_use]
pub fn compare(released: &Lock, new: &Lock) -> Vec<Finding> {
    released.events.iter().flat_map(|old| shape(old, new)).collect()
}

fn shape(old: &Shape, lock: &Lock) -> Vec<Finding> {
    let Some(new) = lock.shape(&old.event_type, old.version) else {
        return vec![gone(old, lock)];
    };
    let next = lock.events.iter().filter(|one| one.event_type == old.event_type);
    let next = next.map(|one| one.version).max().unwrap_or(old.version) + 1;
    let mut found = Vec::new();
    let set = |shape: &Shape| shape.tags.iter().cloned().collect::<BTreeSet<_>>();
    let same_tags = set(old) == set(new);
    if !same_tags {
        found.push(tags(old, new, next));
    }
    // With another key the rule has another name for what may be the same stream.
    let category = |shape: &Shape| shape.stream.split("-{").next().map(str::to_owned);
    if old.stream != new.stream && (same_tags || category(old) != category(new)) {
        found.push(finding(
            old,
            format!("goes to `{}`, and its facts are in `{}`", new.stream, old.stream),
            format!("`stream = \"{}\"` in the attribute; a new event may go elsewhere", old.stream),
        ));
    }
    let upcast = format!("`version = {next}` in the attribute, and an `Upcast` from this one");
    for Narrowed { field, what, safe } in schema::narrowed(&old.schema, &new.schema) {
        let safe = match safe {
            Some(other) => format!("{other}; or {upcast}"),
            None => upcast.clone(),
        };
        found.push(Finding { field, ..finding(old, what, safe) });
    }
    found
}

fn finding(shape: &Shape, what: String, safe: String) -> Finding {
    let (event_type, version) = (shape.event_type.clone(), shape.version);
    Finding { event_type, version, field: String::new(), what, safe }
}

fn gone(old: &Shape, lock: &Lock) -> Finding {
    let newer = lock.events.iter().any(|one| one.event_type == old.event_type);
    if newer {
        let what = "is gone, and facts of it are in stores".to_owned();
        let safe = "keep its struct as `type Old` of the `Upcast` of the next version, or in \
                    `#[history(…)]` of the set";
        return finding(old, what, safe.to_owned());
    }
    let what = "is in no set any more, and facts of it are in stores".to_owned();
    let safe = "keep the struct, in `#[history(…)]` of a set: its `ReadAs` may say that it means \
                nothing any more, or what it is today; was it only renamed in Rust, pin its old \
                name";
    finding(old, what, safe.to_owned())
}

fn tags(old: &Shape, new: &Shape, next: u32) -> Finding {
    let list = |tags: &[String]| match tags {
        [] => "none".to_owned(),
        tags => tags.join(", "),
    };
    let what = format!(
        "has the tags {}, and its facts are stored with {}: who asks for the others misses them",
        list(&new.tags),
        list(&old.tags)
    );
    let safe = format!(
        "keep the keys, `#[tag(\"old_key\")]` on a renamed field; with `version = {next}` new \
         facts may have others, and old ones are not found by those"
    );
    finding(old, what, safe)
}
