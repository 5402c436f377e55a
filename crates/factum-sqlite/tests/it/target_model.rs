//! What is asked of a target and of one in memory, and compared: the model that every target is
//! tested by. Included by each of them.

use factum_app::{
    Position,
    projection::{
        Mark, Target,
        target::{Changes, List, Opened, Parked, Part, Renew, Role, RowChange, Table},
    },
};
use factum_core::Bytes;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// Waits, in whatever runtime the target needs.
use super::wait;

/// Keys that begin alike, that are odd, and that are none.
pub(crate) const KEYS: [&str; 10] =
    ["", "a", "a\0b", "aa", "ab", "a%", "b", "ä", "\u{10ffff}", "b\"\\"];

/// What a commit, or a look at rows, goes by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Stale {
    /// What was opened last.
    No,
    /// Another checkpoint than that.
    Position,
    /// What was opened before that, which may be of a generation that is gone.
    Before,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Open {
        table: usize,
        parts: u32,
        part: u32,
        role: Role,
    },
    /// Follows on what was opened last, or on something else.
    Commit {
        stale: Stale,
        rows: Vec<(usize, Option<u8>)>,
        ready: bool,
        park: bool,
    },
    Load {
        before: bool,
        keys: Vec<usize>,
    },
    Get {
        table: usize,
        key: usize,
    },
    List {
        table: usize,
        list: (Option<usize>, Option<usize>, u32, Option<u8>),
    },
    Renew {
        table: usize,
        how: Renew,
    },
    Look {
        table: usize,
    },
    Remove {
        table: usize,
    },
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    // Mostly one table, of one part: so that generations come and go.
    let table = select(vec![0, 0, 0, 0, 1, 2]);
    let key = 0..KEYS.len();
    let role = || select(vec![Role::Keeper, Role::Keeper, Role::Builder]);
    let row = (key.clone(), proptest::option::of(0..4u8));
    let stale = select(vec![Stale::No, Stale::No, Stale::No, Stale::Position, Stale::Before]);
    let commit = (stale, prop::collection::vec(row, 0..6), any::<bool>(), any::<bool>());
    let some_key = || proptest::option::of(0..KEYS.len());
    let list = (some_key(), some_key(), 0..5u32, proptest::option::of(0..4u8));
    prop_oneof![
        4 => (table.clone(), select(vec![1, 1, 1, 2]), 0..2u32, role())
            .prop_map(|(table, parts, part, role)| Op::Open { table, parts, part, role }),
        8 => commit.prop_map(|(stale, rows, ready, park)| Op::Commit {
            stale, rows, ready, park
        }),
        2 => (any::<bool>(), prop::collection::vec(key.clone(), 0..4))
            .prop_map(|(before, keys)| Op::Load { before, keys }),
        2 => (table.clone(), key).prop_map(|(table, key)| Op::Get { table, key }),
        3 => (table.clone(), list).prop_map(|(table, list)| Op::List { table, list }),
        2 => (table.clone(), select(vec![Renew::Beside, Renew::Instead]))
            .prop_map(|(table, how)| Op::Renew { table, how }),
        2 => table.clone().prop_map(|table| Op::Look { table }),
        1 => table.prop_map(|table| Op::Remove { table }),
    ]
}

pub(crate) fn table(index: usize) -> Table {
    let (name, version) = [("orders", 1), ("orders", 2), ("customers", 1)][index];
    Table { name: name.into(), version }
}

pub(crate) fn data(value: u8) -> Bytes {
    // Equal for a `->>` of SQL, and not for JSON: what is listed is what memory lists.
    let kind = [json!("1"), json!(1), json!(1.0), json!(true)][usize::from(value % 4)].clone();
    serde_json::to_vec(&json!({ "kind": kind, "n": value })).unwrap().into()
}

/// What a run of operations goes by.
#[derive(Default)]
pub(crate) struct Run {
    /// Which part of which table was opened last, and how.
    opened: Option<(Table, Part, Mark)>,
    /// And before that.
    before: Option<(Table, Part, Mark)>,
    /// Positions of events grow.
    last: u64,
}

/// Asks one thing of both; what each answers, as text.
pub(crate) fn ask(run: &mut Run, op: &Op, [one, other]: [&dyn Target; 2]) -> [String; 2] {
    let both = |ask: &dyn Fn(&dyn Target) -> String| [ask(one), ask(other)];
    match op {
        Op::Open { table: of, parts, part, role } => {
            let (of, part) = (table(*of), Part { index: *part % *parts, of: *parts });
            let opened = |target: &dyn Target| wait(target.open(&of, part, *role));
            let answers = [opened(one), opened(other)];
            if let Ok(Some(Opened { mark, .. })) = &answers[0] {
                run.before = run.opened.replace((of, part, *mark));
            }
            answers.map(|answer| format!("{answer:?}"))
        }
        Op::Commit { stale, rows, ready, park } => {
            let Some(changes) = changes(run, (*stale, *ready, *park), rows) else {
                return Default::default();
            };
            let through = changes.through;
            let answers = both(&|target| format!("{:?}", wait(target.commit(changes.clone()))));
            if answers[0] == "Ok(())" && *stale != Stale::Before {
                run.opened.as_mut().unwrap().2.through = through;
            }
            answers
        }
        Op::Load { before, keys } => {
            let opened = if *before { &run.before } else { &run.opened };
            let Some((of, _, mark)) = opened else { return Default::default() };
            let keys: Vec<String> = keys.iter().map(|key| KEYS[*key].to_owned()).collect();
            both(&|target| format!("{:?}", wait(target.load(of, mark.generation, &keys))))
        }
        Op::Get { table: of, key } => {
            both(&|target| format!("{:?}", wait(target.get(&table(*of), KEYS[*key]))))
        }
        Op::List { table: of, list: (after, prefix, limit, field) } => {
            let key = |index: usize| KEYS[index].to_owned();
            let fields = field.map(|value| {
                let row: Value = serde_json::from_slice(&data(value)).unwrap();
                ("kind".to_owned(), row["kind"].clone())
            });
            let list = List {
                after: after.map(key),
                limit: *limit,
                prefix: prefix.map(key),
                fields: fields.into_iter().collect(),
            };
            both(&|target| format!("{:?}", wait(target.list(&table(*of), &list))))
        }
        Op::Renew { table: of, how } => {
            both(&|target| format!("{:?}", wait(target.renew(&table(*of), *how))))
        }
        Op::Look { table: of } => both(&|target| {
            let of = table(*of);
            let parked = wait(target.parked(&of));
            format!("{parked:?} {:?}", wait(target.versions(&of.name)))
        }),
        Op::Remove { table: of } => {
            both(&|target| format!("{:?}", wait(target.remove(&table(*of)))))
        }
    }
}

pub(crate) fn changes(
    run: &mut Run,
    (stale, ready, park): (Stale, bool, bool),
    rows: &[(usize, Option<u8>)],
) -> Option<Changes> {
    let opened = if stale == Stale::Before { &run.before } else { &run.opened };
    let (table, part, mut from) = opened.clone()?;
    if run.opened.as_ref().is_some_and(|(_, now, _)| now.of != part.of) {
        // Memory takes what comes of another layout, where all else fits; tables do not.
        return None;
    }
    run.last += 1;
    let through = Position(from.through.0 + run.last);
    if stale == Stale::Position {
        from.through = Position(from.through.0 + 1);
    }
    let mut changed: Vec<RowChange> = Vec::new();
    for (key, value) in rows {
        let key = KEYS[*key].to_owned();
        changed.retain(|row| row.key != key);
        changed.push(RowChange { key, at: through, data: value.map(data) });
    }
    let waiting = |nth: u64| Parked {
        position: Position(nth),
        key: nth.is_multiple_of(2).then(|| "a".to_owned()),
        stream: "order-1".into(),
        why: nth.is_multiple_of(3).then(|| "poison".to_owned()),
    };
    let parked = park.then(|| waiting(run.last)).into_iter().collect();
    let before = waiting(run.last.saturating_sub(2));
    let released = if park { Vec::new() } else { vec![(before.key, before.position)] };
    Some(Changes { table, part, from, through, ready, rows: changed, parked, released })
}

pub(crate) const ORDERS: &str = "orders";
pub(crate) const ALL: Part = Part { index: 0, of: 1 };

pub(crate) fn orders() -> Table {
    Table { name: ORDERS.into(), version: 1 }
}

pub(crate) fn put(from: Mark, through: u64, key: &str) -> Changes {
    let row = RowChange { key: key.into(), at: Position(through), data: Some(data(1)) };
    Changes {
        table: orders(),
        part: ALL,
        from,
        through: Position(through),
        ready: true,
        rows: vec![row],
        parked: Vec::new(),
        released: Vec::new(),
    }
}
