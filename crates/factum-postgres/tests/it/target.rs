//! Rows of projections in PostgreSQL: they answer as those in memory do, whatever is asked of both
//! in whatever order; and they commit with their checkpoint, or not at all.

#[path = "../../../factum-sqlite/tests/it/target_model.rs"]
mod model;

use crate::support::{address, application, new_schema, open, options, runtime, to};
use factum_app::{
    Position,
    projection::{
        Mark, MemoryTarget, Target, TargetError,
        target::{Opened, Parked, Renew, Role, RowChange, StoredRow},
    },
};
use factum_core::EventStore;
use factum_postgres::{
    Options, PostgresStore, PostgresTarget,
    sqlx::{self, AssertSqlSafe, raw_sql},
};
use model::{ALL, Run, ask, data, op, orders, put};
use proptest::prelude::*;
use std::sync::OnceLock;

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// A store, and the name of its schema.
fn begun() -> (PostgresStore, String) {
    let options = options();
    (wait(open(&options)), options.schema)
}

fn run(sql: String) {
    wait(async { raw_sql(AssertSqlSafe(sql)).execute(&application()).await.unwrap() });
}

fn number(sql: String) -> i64 {
    wait(async { sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&application()).await.unwrap() })
}

/// One store for all runs, whose rows are removed before each: making one takes long.
fn emptied() -> PostgresTarget {
    static STORE: OnceLock<(PostgresStore, String)> = OnceLock::new();
    let (store, schema) = STORE.get_or_init(begun);
    let tables = ["views", "view_parts", "view_rows", "view_parked", "view_garbage"];
    run(tables.map(|table| format!("DELETE FROM {schema}.factum_{table};")).concat());
    PostgresTarget::beside(store)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_it_answers_as_memory_does(ops in prop::collection::vec(op(), 1..80)) {
        let (postgres, memory) = (emptied(), MemoryTarget::new());
        let mut run = Run::default();
        for (nth, op) in ops.iter().enumerate() {
            let [of_postgres, of_memory] = ask(&mut run, op, [&postgres, &memory]);
            prop_assert_eq!(of_postgres, of_memory, "operation {}: {:?}", nth, op);
        }
    }
}

fn opened(target: &PostgresTarget) -> Opened {
    wait(target.open(&orders(), ALL, Role::Keeper)).unwrap().unwrap()
}

fn got(target: &PostgresTarget, key: &str) -> Option<StoredRow> {
    wait(target.get(&orders(), key)).unwrap().value
}

/// Two instances of an app over one store: whoever comes second is told, also where both begin.
#[test]
fn of_two_who_write_one_is_told_that_the_checkpoint_has_moved() {
    let options = Options { schema: new_schema(), ..Options::default() };
    let connect = || {
        let store = PostgresStore::connect_with(address(), options.clone());
        PostgresTarget::beside(&wait(store).unwrap())
    };
    let (one, other) = (connect(), connect());
    let opening = |target: &PostgresTarget| {
        let target = target.clone();
        let open = async move { target.open(&orders(), ALL, Role::Keeper).await };
        runtime().spawn(open)
    };
    let (mark, same) = (opening(&one), opening(&other));
    let mark = wait(mark).unwrap().unwrap().unwrap().mark;
    let same = wait(same).unwrap().unwrap().unwrap().mark;
    assert_eq!(mark, same, "one generation, whoever began it");
    wait(one.commit(put(mark, 5, "a"))).unwrap();
    assert_eq!(wait(other.commit(put(same, 6, "b"))), Err(TargetError::Moved));
    assert_eq!(got(&other, "b"), None);
    wait(other.commit(put(opened(&other).mark, 6, "b"))).unwrap();
    assert!(got(&one, "a").is_some() && got(&one, "b").is_some());
    // Whoever connects anew finds what was committed.
    let third = connect();
    assert_eq!((opened(&third).mark.through, opened(&third).ready), (Position(6), true));
}

/// A commit that fails in the middle: its rows, its checkpoint and what it put aside are not there.
#[test]
fn what_fails_after_rows_were_written_undoes_them() {
    let (store, schema) = begun();
    let target = PostgresTarget::beside(&store);
    let mark = opened(&target).mark;
    wait(target.commit(put(mark, 5, "a"))).unwrap();
    let mark = Mark { through: Position(5), ..mark };
    for table in ["factum_view_rows", "factum_view_parked"] {
        run(format!("ALTER TABLE {schema}.{table} ADD CONSTRAINT gap CHECK (key <> 'x')"));
        let mut changes = put(mark, 9, "b");
        let (key, stream) = (Some("x".to_owned()), "order-1".into());
        changes.parked.push(Parked { position: Position(8), key, stream, why: None });
        let bad = RowChange { key: "x".into(), at: Position(9), data: Some(data(2)) };
        changes.rows.push(bad);
        let failed = wait(target.commit(changes));
        assert!(matches!(failed, Err(TargetError::Broken { .. })), "{table}: {failed:?}");
        assert_eq!(opened(&target).mark, mark);
        assert_eq!((got(&target, "b"), opened(&target).parked), (None, vec![]));
        run(format!("ALTER TABLE {schema}.{table} DROP CONSTRAINT gap"));
    }
    wait(target.commit(put(mark, 9, "b"))).unwrap();
    assert!(got(&target, "b").is_some());
}

#[test]
fn rows_lie_beside_the_events_and_people_can_read_them() {
    let (store, schema) = begun();
    let target = PostgresTarget::beside(&store);
    wait(store.append(to("order-1", [1]))).unwrap();
    wait(target.commit(put(opened(&target).mark, 1, "order-1"))).unwrap();
    let sql = format!(
        "SELECT (r.data ->> 'n')::bigint FROM {schema}.factum_rows r
            JOIN {schema}.factum_log l ON l.stream = r.key"
    );
    assert_eq!(number(sql), 1);
}

/// The rows of a generation that is gone are removed by later commits, some at a time.
#[test]
fn what_is_gone_is_swept_up_bit_by_bit() {
    let (store, schema) = begun();
    let target = PostgresTarget::beside(&store);
    let mut changes = put(opened(&target).mark, 1, "a");
    let row = |n: u32| RowChange { key: format!("k{n:05}"), at: Position(1), data: Some(data(0)) };
    changes.rows = (0..9000).map(row).collect();
    wait(target.commit(changes)).unwrap();
    wait(target.renew(&orders(), Renew::Instead)).unwrap();
    assert_eq!(wait(target.get(&orders(), "k00000")), Err(TargetError::NotReady));
    let mut mark = opened(&target).mark;
    let mut left = Vec::new();
    for through in 1..=4 {
        wait(target.commit(put(mark, through, "a"))).unwrap();
        mark.through = Position(through);
        left.push(number(format!("SELECT count(*) FROM {schema}.factum_view_rows")));
    }
    assert_eq!(left, [9001 - 4096, 9001 - 2 * 4096, 1, 1]);
    assert_eq!(number(format!("SELECT count(*) FROM {schema}.factum_view_garbage")), 0);
}
