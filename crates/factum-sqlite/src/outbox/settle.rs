//! What became of rows, and the end of those that were published long ago.

use factum_app::outbox::{Outcome, Settled};
use factum_core::Timestamp;
use sqlx::SqliteConnection;

/// Whoever published it, it is published.
const PUBLISHED: &str = "UPDATE factum_outbox SET published_at = ?2, claimed_by = NULL,
    claimed_until = NULL, retry_at = NULL, dead_at = NULL, error = NULL
    WHERE sequence = ?1 AND published_at IS NULL";
const FAILED: &str = "UPDATE factum_outbox SET attempts = attempts + 1, retry_at = ?2, error = ?3,
    claimed_by = NULL, claimed_until = NULL
    WHERE sequence = ?1 AND claimed_by = ?4 AND published_at IS NULL";
const DEAD: &str = "UPDATE factum_outbox SET attempts = attempts + 1, dead_at = ?2, error = ?3,
    claimed_by = NULL, claimed_until = NULL
    WHERE sequence = ?1 AND claimed_by = ?4 AND published_at IS NULL";
const UNTRIED: &str = "UPDATE factum_outbox SET claimed_by = NULL, claimed_until = NULL
    WHERE sequence = ?1 AND claimed_by = ?2 AND published_at IS NULL";
const SWEEP: &str = "DELETE FROM factum_outbox WHERE sequence IN (
    SELECT sequence FROM factum_outbox WHERE published_at < ?1 ORDER BY published_at LIMIT ?2)";

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    relay: &str,
    (settled, now): (Vec<Settled>, Timestamp),
) -> Result<(), sqlx::Error> {
    for Settled { sequence, outcome } in settled {
        let sequence = sequence.cast_signed();
        let query = match outcome {
            Outcome::Published => sqlx::query(PUBLISHED).bind(sequence).bind(now.0),
            Outcome::Failed { error, after } => {
                let after = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
                let at = now.0.saturating_add(after);
                sqlx::query(FAILED).bind(sequence).bind(at).bind(error).bind(relay)
            }
            Outcome::Dead { error } => {
                sqlx::query(DEAD).bind(sequence).bind(now.0).bind(error).bind(relay)
            }
            Outcome::Untried => sqlx::query(UNTRIED).bind(sequence).bind(relay),
        };
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Whether any row was published before this.
pub(super) async fn is_old(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> Result<bool, sqlx::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM factum_outbox WHERE published_at < ?)";
    sqlx::query_scalar(sql).bind(before.0).fetch_one(connection).await
}

pub(super) async fn sweep(
    connection: &mut SqliteConnection,
    before: Timestamp,
    rows_max: u32,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query(SWEEP).bind(before.0).bind(rows_max).execute(connection).await?;
    Ok(swept.rows_affected())
}
