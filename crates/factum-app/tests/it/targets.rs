//! What every target of projections keeps to, on the one in memory.

use bytes::Bytes;
use factum_app::{
    Position,
    projection::{
        MemoryTarget, Target, TargetError,
        target::{Changes, List, Opened, Parked, Part, Renew, Role, RowChange, Table},
    },
};
use serde_json::json;

const WHOLE: Part = Part { index: 0, of: 1 };

fn table(version: u32) -> Table {
    Table { name: "summary".into(), version }
}

fn row(key: &str, at: u64, data: Option<&str>) -> RowChange {
    let data = data.map(|data| Bytes::copy_from_slice(data.as_bytes()));
    RowChange { key: key.into(), at: Position(at), data }
}

async fn open(target: &MemoryTarget, part: Part, role: Role) -> Option<Opened> {
    target.open(&table(1), part, role).await.unwrap()
}

fn changes(opened: &Opened, part: Part, through: u64, rows: Vec<RowChange>) -> Changes {
    Changes {
        table: table(1),
        part,
        from: opened.mark,
        through: Position(through),
        ready: true,
        rows,
        parked: Vec::new(),
        released: Vec::new(),
    }
}

async fn keys(target: &MemoryTarget, list: List) -> Vec<String> {
    let list = List { limit: if list.limit == 0 { 10 } else { list.limit }, ..list };
    let seen = target.list(&table(1), &list).await.unwrap();
    seen.value.into_iter().map(|row| row.key).collect()
}

#[tokio::test]
async fn rows_and_checkpoint_are_there_together_or_not_at_all() {
    let target = MemoryTarget::new();
    let first = open(&target, WHOLE, Role::Keeper).await.unwrap();
    assert_eq!(target.get(&table(1), "a").await, Err(TargetError::NotReady));
    let one = changes(&first, WHOLE, 3, vec![row("a", 2, Some("1")), row("b", 3, Some("2"))]);
    target.commit(one.clone()).await.unwrap();
    assert_eq!(target.commit(one).await, Err(TargetError::Moved), "a second writer");
    let second = open(&target, WHOLE, Role::Keeper).await.unwrap();
    assert_eq!((second.mark.through, second.ready), (Position(3), true));
    target.commit(changes(&second, WHOLE, 5, vec![row("a", 5, None)])).await.unwrap();
    assert_eq!(keys(&target, List::default()).await, ["b"]);
    let seen = target.get(&table(1), "b").await.unwrap();
    assert_eq!((seen.through, seen.value.unwrap().at), (Position(5), Position(3)));
}

/// Cause: changes of one of several parts were taken by a table that is kept in one, where the
/// checkpoint happened to fit. Fix: in how many parts a table is cut is part of what must fit.
#[tokio::test]
async fn changes_of_a_table_that_is_cut_otherwise_are_refused() {
    let target = MemoryTarget::new();
    let whole = open(&target, WHOLE, Role::Keeper).await.unwrap();
    let half = changes(&whole, Part { index: 0, of: 2 }, 3, vec![row("a", 2, Some("1"))]);
    assert_eq!(target.commit(half).await, Err(TargetError::Moved));
    target.commit(changes(&whole, WHOLE, 3, Vec::new())).await.unwrap();
}

#[tokio::test]
async fn it_is_read_when_all_parts_have_caught_up_and_as_far_as_the_slowest() {
    let target = MemoryTarget::new();
    let parts = [0, 1].map(|index| Part { index, of: 2 });
    for (part, through) in parts.into_iter().zip([7, 4]) {
        assert_eq!(target.get(&table(1), "a").await, Err(TargetError::NotReady));
        let opened = open(&target, part, Role::Keeper).await.unwrap();
        target.commit(changes(&opened, part, through, Vec::new())).await.unwrap();
    }
    assert_eq!(target.get(&table(1), "a").await.unwrap().through, Position(4));
}

#[tokio::test]
async fn a_generation_is_built_beside_the_one_that_is_read() {
    let target = MemoryTarget::new();
    let old = open(&target, WHOLE, Role::Keeper).await.unwrap();
    target.commit(changes(&old, WHOLE, 3, vec![row("old", 2, Some("1"))])).await.unwrap();
    assert_eq!(open(&target, WHOLE, Role::Builder).await, None);
    target.renew(&table(1), Renew::Beside).await.unwrap();
    let new = open(&target, WHOLE, Role::Builder).await.unwrap();
    assert_eq!(new.mark.through, Position::START);
    let old = open(&target, WHOLE, Role::Keeper).await.unwrap();
    target.commit(changes(&old, WHOLE, 4, vec![row("old", 4, Some("2"))])).await.unwrap();
    assert_eq!(keys(&target, List::default()).await, ["old"]);
    target.commit(changes(&new, WHOLE, 4, vec![row("new", 4, Some("2"))])).await.unwrap();
    assert_eq!(keys(&target, List::default()).await, ["new"]);
    let old = open(&target, WHOLE, Role::Keeper).await.unwrap();
    assert_eq!(old.mark, factum_app::projection::Mark { through: Position(4), ..new.mark });
    assert_eq!(open(&target, WHOLE, Role::Builder).await, None);
    target.renew(&table(1), Renew::Instead).await.unwrap();
    assert_eq!(target.get(&table(1), "new").await, Err(TargetError::NotReady));
    assert_eq!(target.commit(changes(&old, WHOLE, 5, Vec::new())).await, Err(TargetError::Moved));
}

#[tokio::test]
async fn what_is_parked_stays_until_it_is_released() {
    let target = MemoryTarget::new();
    let opened = open(&target, WHOLE, Role::Keeper).await.unwrap();
    let letter = |position, why: Option<&str>| Parked {
        position: Position(position),
        key: Some("a".into()),
        stream: "x-a".into(),
        why: why.map(Into::into),
    };
    let parked = vec![letter(2, Some("bad")), letter(3, None)];
    let one = Changes { parked: parked.clone(), ..changes(&opened, WHOLE, 3, Vec::new()) };
    target.commit(one).await.unwrap();
    let opened = open(&target, WHOLE, Role::Keeper).await.unwrap();
    assert_eq!(opened.parked, parked);
    let released = vec![(Some("a".into()), Position(2))];
    let two = Changes { released, ..changes(&opened, WHOLE, 3, Vec::new()) };
    target.commit(two).await.unwrap();
    assert_eq!(target.parked(&table(1)).await.unwrap(), [letter(3, None)]);
}

#[tokio::test]
async fn rows_are_listed_by_key_field_and_page() {
    let target = MemoryTarget::new();
    let opened = open(&target, WHOLE, Role::Keeper).await.unwrap();
    let rows = [("a1", "open"), ("a2", "paid"), ("a3", "open"), ("b1", "open")];
    let rows = rows
        .map(|(key, status)| row(key, 1, Some(&json!({ "status": status, "n": 1 }).to_string())));
    target.commit(changes(&opened, WHOLE, 1, rows.into())).await.unwrap();
    let open = vec![("status".to_owned(), json!("open"))];
    let list = List { fields: open.clone(), ..List::default() };
    assert_eq!(keys(&target, list).await, ["a1", "a3", "b1"]);
    let list = List { prefix: Some("a".into()), fields: open, ..List::default() };
    assert_eq!(keys(&target, list).await, ["a1", "a3"]);
    let list = List { after: Some("a1".into()), limit: 2, ..List::default() };
    assert_eq!(keys(&target, list).await, ["a2", "a3"]);
    let list = List { after: Some("a1".into()), prefix: Some("b".into()), ..List::default() };
    assert_eq!(keys(&target, list).await, ["b1"]);
}

#[tokio::test]
async fn versions_stand_side_by_side() {
    let target = MemoryTarget::new();
    for version in [2, 1] {
        let opened = target.open(&table(version), WHOLE, Role::Keeper).await.unwrap().unwrap();
        let one = changes(&opened, WHOLE, 1, vec![row("a", 1, Some("1"))]);
        target.commit(Changes { table: table(version), ready: version == 1, ..one }).await.unwrap();
    }
    assert_eq!(target.versions("summary").await.unwrap(), [1]);
    let opened = target.open(&table(2), WHOLE, Role::Keeper).await.unwrap().unwrap();
    let one = changes(&opened, WHOLE, 2, Vec::new());
    target.commit(Changes { table: table(2), ..one }).await.unwrap();
    assert_eq!(target.versions("summary").await.unwrap(), [1, 2]);
    target.remove(&table(1)).await.unwrap();
    assert_eq!(target.versions("summary").await.unwrap(), [2]);
}
