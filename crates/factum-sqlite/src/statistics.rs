//! Numbers about the store.

use crate::shared::Shared;
use factum_core::Statistics;
use sqlx::{Row, SqliteConnection};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the file says of itself.
pub(crate) async fn tables(connection: &mut SqliteConnection) -> Result<Statistics, sqlx::Error> {
    // Streams and terms are never deleted: the last number is how many there are.
    let sql = "SELECT (SELECT head FROM factum_store),
        (SELECT coalesce(max(id), 0) FROM factum_streams),
        (SELECT coalesce(max(id), 0) FROM factum_terms),
        (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let mut all = Statistics::default();
    all.gauge("head_position", number(0)?, "Position of the last event");
    all.gauge("streams", number(1)?, "Streams with an event");
    all.gauge("terms", number(2)?, "Event types, categories and tags");
    all.gauge("database_bytes", number(3)?, "Bytes of the database, without its log");
    Ok(all)
}

/// What was counted since the store was opened.
pub(crate) fn counted(all: &mut Statistics, shared: &Shared) {
    let counters = &shared.counters;
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let readers = &shared.readers;
    all.gauge("queued_reads", readers.waiting(), "Reads that wait for a connection");
    let numbers = [
        ("appends_total", value(&counters.appends), "Appends and changes done"),
        ("refused_appends_total", value(&counters.refused), "Appends and changes refused"),
        ("events_written_total", value(&counters.events), "Events written"),
        ("groups_total", value(&counters.groups), "Transactions that appends shared"),
        (
            "overloaded_appends_total",
            value(&counters.overloaded),
            "Appends refused because too many waited",
        ),
        ("overloaded_reads_total", readers.overloaded(), "Reads refused because too many waited"),
    ];
    for (name, value, help) in numbers {
        all.counter(name, value, help);
    }
}
