//! Rows of projections in SQLite: they answer as those in memory do, whatever is asked of both in
//! whatever order; and they commit with their checkpoint, or not at all.

#[path = "target_model.rs"]
mod model;

use crate::support::{open, to};
use factum_app::{
    Position,
    projection::{
        Mark, MemoryTarget, Target, TargetError,
        target::{Changes, Opened, Parked, Renew, Role, RowChange, StoredRow},
    },
};
use factum_core::EventStore;
use factum_sqlite::{
    Options, SqliteStore, SqliteTarget,
    sqlx::{self, SqliteConnection},
};
use factum_testkit::{block_on, block_on as wait};
use model::{ALL, Run, ask, data, op, orders, put};
use proptest::prelude::*;

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
