//! Rows of projections in SQLite: they answer as those in memory do, whatever is asked of both in
//! whatever order; and they commit with their checkpoint, or not at all.

use crate::support::{open, to};
use factum_app::{
    Position,
    projection::{
        Mark, MemoryTarget, Target, TargetError,
        target::{Changes, List, Opened, Parked, Part, Renew, Role, RowChange, StoredRow, Table},
    },
};
use factum_core::{Bytes, EventStore};
use factum_sqlite::{
    Options, SqliteStore, SqliteTarget,
    sqlx::{self, SqliteConnection},
};
use factum_testkit::block_on;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// Keys that begin alike, that are odd, and that are none.
const KEYS: [&str; 10] = ["", "a", "a\0b", "aa", "ab", "a%", "b", "ä", "\u{10ffff}", "b\"\\"];

/// What a commit, or a look at rows, goes by.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Stale {
    /// What was opened last.
    No,
    /// Another checkpoint than that.
    Position,
    /// What was opened before that, which may be of a generation that is gone.
    Before,
}

#[derive(Clone, Debug)]
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
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

fn table(index: usize) -> Table {
    let (name, version) = [("orders", 1), ("orders", 2), ("customers", 1)][index];
    Table { name: name.into(), version }
}

fn data(value: u8) -> Bytes {
    // Equal for SQLite's `->>`, and not for JSON: what is listed is what memory lists.
    let kind = [json!("1"), json!(1), json!(1.0), json!(true)][usize::from(value % 4)].clone();
    serde_json::to_vec(&json!({ "kind": kind, "n": value })).unwrap().into()
}

/// What a run of operations goes by.
#[derive(Default)]
struct Run {
    /// Which part of which table was opened last, and how.
    opened: Option<(Table, Part, Mark)>,
    /// And before that.
    before: Option<(Table, Part, Mark)>,
    /// Positions of events grow.
    last: u64,
}

/// Asks one thing of both; what each answers, as text.
fn ask(run: &mut Run, op: &Op, [one, other]: [&dyn Target; 2]) -> [String; 2] {
    let both = |ask: &dyn Fn(&dyn Target) -> String| [ask(one), ask(other)];
    match op {
        Op::Open { table: of, parts, part, role } => {
            let (of, part) = (table(*of), Part { index: *part % *parts, of: *parts });
            let opened = |target: &dyn Target| block_on(target.open(&of, part, *role));
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
            let answers = both(&|target| format!("{:?}", block_on(target.commit(changes.clone()))));
            if answers[0] == "Ok(())" && *stale != Stale::Before {
                run.opened.as_mut().unwrap().2.through = through;
            }
            answers
        }
        Op::Load { before, keys } => {
            let opened = if *before { &run.before } else { &run.opened };
            let Some((of, _, mark)) = opened else { return Default::default() };
            let keys: Vec<String> = keys.iter().map(|key| KEYS[*key].to_owned()).collect();
            both(&|target| format!("{:?}", block_on(target.load(of, mark.generation, &keys))))
        }
        Op::Get { table: of, key } => {
            both(&|target| format!("{:?}", block_on(target.get(&table(*of), KEYS[*key]))))
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
            both(&|target| format!("{:?}", block_on(target.list(&table(*of), &list))))
        }
        Op::Renew { table: of, how } => {
            both(&|target| format!("{:?}", block_on(target.renew(&table(*of), *how))))
        }
        Op::Look { table: of } => both(&|target| {
            let of = table(*of);
            let parked = block_on(target.parked(&of));
            format!("{parked:?} {:?}", block_on(target.versions(&of.name)))
        }),
        Op::Remove { table: of } => {
            both(&|target| format!("{:?}", block_on(target.remove(&table(*of)))))
        }
    }
}

fn changes(
    run: &mut Run,
    (stale, ready, park): (Stale, bool, bool),
    rows: &[(usize, Option<u8>)],
) -> Option<Changes> {
    let opened = if stale == Stale::Before { &run.before } else { &run.opened };
    let (table, part, mut from) = opened.clone()?;
    if run.opened.as_ref().is_some_and(|(_, now, _)| now.of != part.of) {
        // Memory takes what comes of another layout, where all else fits; SQLite does not.
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_it_answers_as_memory_does(ops in prop::collection::vec(op(), 1..100)) {
        let store = block_on(SqliteStore::open_in_memory(Options::default())).unwrap();
        let sqlite = block_on(SqliteTarget::beside(&store)).unwrap();
        let memory = MemoryTarget::new();
        let mut run = Run::default();
        for (nth, op) in ops.iter().enumerate() {
            let [of_sqlite, of_memory] = ask(&mut run, op, [&sqlite, &memory]);
            prop_assert_eq!(of_sqlite, of_memory, "operation {}: {:?}", nth, op);
        }
    }
}

const ORDERS: &str = "orders";
const ALL: Part = Part { index: 0, of: 1 };

fn orders() -> Table {
    Table { name: ORDERS.into(), version: 1 }
}

fn put(from: Mark, through: u64, key: &str) -> Changes {
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

fn opened(target: &SqliteTarget) -> Opened {
    block_on(target.open(&orders(), ALL, Role::Keeper)).unwrap().unwrap()
}

fn got(target: &SqliteTarget, key: &str) -> Option<StoredRow> {
    block_on(target.get(&orders(), key)).unwrap().value
}

#[test]
fn rows_and_checkpoint_are_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let target = block_on(SqliteTarget::open(&path, Options::default())).unwrap();
    block_on(target.commit(put(opened(&target).mark, 7, "a"))).unwrap();
    drop(target);
    let target = block_on(SqliteTarget::open(&path, Options::default())).unwrap();
    let again = opened(&target);
    assert_eq!((again.mark.through, again.ready), (Position(7), true));
    assert_eq!(got(&target, "a").unwrap().data, data(1));
}

/// A version built beside the one that is read, until it has caught up: no moment without rows.
#[test]
fn a_generation_is_built_beside_and_takes_the_place_of_the_one_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let target = block_on(SqliteTarget::beside(&open(&dir.path().join("app.db")))).unwrap();
    let old = opened(&target).mark;
    block_on(target.commit(put(old, 5, "old"))).unwrap();
    block_on(target.renew(&orders(), Renew::Beside)).unwrap();
    let building = block_on(target.open(&orders(), ALL, Role::Builder)).unwrap().unwrap();
    assert_eq!(building.mark, Mark { generation: old.generation + 1, through: Position(0) });
    let half = Changes { ready: false, ..put(building.mark, 3, "new") };
    block_on(target.commit(half)).unwrap();
    assert!(got(&target, "old").is_some() && got(&target, "new").is_none());
    // The one that is read is kept up to date meanwhile.
    block_on(target.commit(put(Mark { through: Position(5), ..old }, 6, "old"))).unwrap();
    let ahead = Mark { through: Position(3), ..building.mark };
    block_on(target.commit(put(ahead, 6, "new"))).unwrap();
    assert!(got(&target, "old").is_none() && got(&target, "new").is_some());
    let keeper = Mark { through: Position(6), ..old };
    assert_eq!(block_on(target.commit(put(keeper, 7, "old"))), Err(TargetError::Moved));
    let keys = ["old".to_owned()];
    let loaded = block_on(target.load(&orders(), old.generation, &keys));
    assert_eq!(loaded, Err(TargetError::Moved));
    assert_eq!(opened(&target).mark, Mark { through: Position(6), ..building.mark });
}

/// Two instances of an app over one file: whoever comes second is told.
#[test]
fn of_two_who_write_one_is_told_that_the_checkpoint_has_moved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let open = || block_on(SqliteTarget::open(&path, Options::default())).unwrap();
    let (one, other) = (open(), open());
    let (mark, same) = (opened(&one).mark, opened(&other).mark);
    assert_eq!(mark, same);
    block_on(one.commit(put(mark, 5, "a"))).unwrap();
    assert_eq!(block_on(other.commit(put(same, 6, "b"))), Err(TargetError::Moved));
    assert_eq!(got(&other, "b"), None);
    block_on(other.commit(put(opened(&other).mark, 6, "b"))).unwrap();
    assert!(got(&one, "a").is_some() && got(&one, "b").is_some());
}

/// A commit that fails in the middle: its rows, its checkpoint and what it put aside are not there.
#[test]
fn what_fails_after_rows_were_written_undoes_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("app.db"));
    let target = block_on(SqliteTarget::beside(&store)).unwrap();
    let mark = opened(&target).mark;
    block_on(target.commit(put(mark, 5, "a"))).unwrap();
    let mark = Mark { through: Position(5), ..mark };
    for table in ["factum_view_rows", "factum_view_parked"] {
        let trigger = format!(
            "CREATE TRIGGER gap BEFORE INSERT ON {table} WHEN new.key = 'x'
             BEGIN SELECT raise(ABORT, 'on purpose'); END"
        );
        run(&store, trigger);
        let mut changes = put(mark, 9, "b");
        let parked = Parked {
            position: Position(8),
            key: Some("x".into()),
            stream: "order-1".into(),
            why: None,
        };
        changes.parked.push(parked);
        let bad = RowChange { key: "x".into(), at: Position(9), data: Some(data(2)) };
        changes.rows.push(bad);
        let failed = block_on(target.commit(changes.clone()));
        assert!(matches!(failed, Err(TargetError::Away { .. })), "{table}: {failed:?}");
        assert_eq!(opened(&target).mark, mark);
        assert_eq!((got(&target, "b"), opened(&target).parked), (None, vec![]));
        run(&store, "DROP TRIGGER gap".to_owned());
    }
    block_on(target.commit(put(mark, 9, "b"))).unwrap();
    assert!(got(&target, "b").is_some());
}

fn run(store: &SqliteStore, sql: String) {
    let running = store.write(async move |connection: &mut SqliteConnection| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(drop)
    });
    block_on(running).unwrap();
}

#[test]
fn rows_lie_beside_the_events_and_people_can_read_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("app.db"));
    let target = block_on(SqliteTarget::beside(&store)).unwrap();
    block_on(store.append(to("order-1", [1]))).unwrap();
    block_on(target.commit(put(opened(&target).mark, 1, "order-1"))).unwrap();
    let reading = store.write(async |connection: &mut SqliteConnection| {
        let sql = "SELECT r.data ->> 'n' FROM factum_rows r JOIN factum_log l ON l.stream = r.key";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(connection).await
    });
    assert_eq!(block_on(reading).unwrap(), 1);
}

/// The rows of a generation that is gone are removed by later commits, some at a time.
#[test]
fn what_is_gone_is_swept_up_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("app.db"));
    let target = block_on(SqliteTarget::beside(&store)).unwrap();
    let mut changes = put(opened(&target).mark, 1, "a");
    let row = |n: u32| RowChange { key: format!("k{n:05}"), at: Position(1), data: Some(data(0)) };
    changes.rows = (0..9000).map(row).collect();
    block_on(target.commit(changes)).unwrap();
    block_on(target.renew(&orders(), Renew::Instead)).unwrap();
    assert_eq!(block_on(target.get(&orders(), "k00000")), Err(TargetError::NotReady));
    let mut mark = opened(&target).mark;
    let mut left = Vec::new();
    for through in 1..=4 {
        block_on(target.commit(put(mark, through, "a"))).unwrap();
        mark.through = Position(through);
        left.push(count(&store, "factum_view_rows"));
    }
    assert_eq!(left, [9001 - 4096, 9001 - 2 * 4096, 1, 1]);
    assert_eq!(count(&store, "factum_view_garbage"), 0);
}

fn count(store: &SqliteStore, table: &'static str) -> i64 {
    let counting = store.write(async move |connection: &mut SqliteConnection| {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar::<_, i64>(sql).fetch_one(connection).await
    });
    block_on(counting).unwrap()
}
