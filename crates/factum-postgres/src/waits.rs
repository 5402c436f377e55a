//! Who holds the settled head back: appends that are open in transactions.

use crate::{PostgresStore, shared::Shared};
use factum_core::ReadError;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::sync::Arc;

/// An append that is open in a transaction: events after it wait for it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAppend {
    /// The server's process, as `pg_terminate_backend` takes it.
    pub pid: i32,
    /// How its connection calls itself.
    pub application: String,
    /// What it does: `active`, `idle in transaction`.
    pub state: String,
    /// How long its transaction is open, in seconds.
    pub open_s: f64,
}

const OPEN: &str = "
SELECT DISTINCT l.pid, coalesce(a.application_name, ''), coalesce(a.state, 'prepared'),
    coalesce(date_part('epoch', clock_timestamp() - a.xact_start), 0)
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint >> 14 = {lock}::bigint >> 46
ORDER BY 4 DESC LIMIT 100";

async fn open(shared: &Shared, connection: &mut PgConnection) -> sqlx::Result<Vec<OpenAppend>> {
    let sql = OPEN.replace("{lock}", &shared.place.horizon.to_string());
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(!shared.options.pooler);
    let rows = query.fetch_all(connection).await?;
    let of_row = |row: &sqlx::postgres::PgRow| {
        Ok(OpenAppend {
            // A prepared transaction has no process.
            pid: row.try_get::<Option<i32>, _>(0)?.unwrap_or(0),
            application: row.try_get(1)?,
            state: row.try_get(2)?,
            open_s: row.try_get(3)?,
        })
    };
    rows.iter().map(of_row).collect()
}

impl PostgresStore {
    /// The appends that are open now, the oldest first, at most 100: subscribers see nothing that
    /// was appended after the oldest of them. Each is mostly gone within milliseconds; one that
    /// stays is in a transaction that somebody does not end.
    ///
    /// # Errors
    ///
    /// As of any read.
    pub async fn open_appends(&self) -> Result<Vec<OpenAppend>, ReadError> {
        let shared = self.shared();
        shared.read(async |connection| open(shared, connection).await).await
    }
}

/// Why the head does not move, for who waits for it.
pub(crate) async fn why(shared: &Shared) -> Arc<str> {
    let found = shared.read(async |connection| shared.answer(open(shared, connection)).await).await;
    let oldest = found.ok().and_then(|open| open.into_iter().next());
    let who = oldest.map_or_else(
        || "somebody".to_owned(),
        |open| {
            let OpenAppend { pid, application, state, open_s } = open;
            format!("process {pid} ({application:?}, {state}) for {open_s:.0} s")
        },
    );
    let text = format!(
        "an append is held open in a transaction by {who}: end that transaction, or have it ended \
         (`SELECT pg_terminate_backend(pid)`)"
    );
    text.into()
}
