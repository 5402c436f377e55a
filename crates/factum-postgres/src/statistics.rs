//! Numbers about the store.

use crate::{
    shared::{Counters, Shared},
    tail,
};
use factum_core::Statistics;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the server says of the tables.
pub(crate) async fn tables(
    shared: &Shared,
    connection: &mut PgConnection,
) -> Result<Statistics, sqlx::Error> {
    let head = tail::settled(shared, connection).await?;
    let schema = &shared.place.schema;
    let sql = format!(
        "SELECT coalesce(max(position), 0),
            pg_total_relation_size('{schema}.factum_events')
                + pg_total_relation_size('{schema}.factum_tags')
        FROM {schema}.factum_events"
    );
    let asking = sqlx::query(AssertSqlSafe(sql)).persistent(!shared.options.pooler);
    let row = asking.fetch_one(connection).await?;
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let mut all = Statistics::default();
    all.gauge("head_position", head.head, "Position of the last settled event");
    all.gauge("last_position", number(0)?, "Position of the last event, settled or not");
    let is_held = u64::from(head.is_open);
    all.gauge("head_is_held", is_held, "Whether an open append holds the settled head back");
    all.gauge("database_bytes", number(1)?, "Bytes of the tables and their indexes");
    Ok(all)
}

/// What was counted since the store was opened.
pub(crate) fn counted(all: &mut Statistics, shared: &Shared) {
    let Counters { appends, calls, judged, refused, events, retried } = &shared.counters;
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (writers, readers) = (&shared.writers, &shared.readers);
    let (waiting, overloaded) = shared.group.waiting();
    let queued = writers.waiting() + waiting;
    all.gauge("queued_appends", queued, "Appends that wait for a connection, or for a call to end");
    all.gauge("queued_reads", readers.waiting(), "Reads that wait for a connection");
    let numbers = [
        ("appends_total", value(appends), "Appends and changes done"),
        ("append_calls_total", value(calls), "Calls that took several appends, or one"),
        ("judged_appends_total", value(judged), "Appends and changes that took a transaction"),
        ("refused_appends_total", value(refused), "Appends and changes refused"),
        ("retried_appends_total", value(retried), "Appends tried again on a new connection"),
        ("events_written_total", value(events), "Events written"),
        (
            "overloaded_appends_total",
            writers.overloaded() + overloaded,
            "Appends refused because too many waited",
        ),
        ("overloaded_reads_total", readers.overloaded(), "Reads refused because too many waited"),
    ];
    for (name, value, help) in numbers {
        all.counter(name, value, help);
    }
}
