//! How far a slot is behind, what it keeps of the log, and what happens where that is too much.
//!
//! Apart from what is captured: it is asked over a connection of its own, on a timer, so that a
//! broker that does not answer does not hide a disk that fills.

use super::CdcError;
use pgwire_replication::Lsn;
use sqlx::{PgConnection, Row};
use std::time::Duration;

/// A reader of a slot may need a moment to leave it, 30 s at most.
const LEAVE_INTERVAL: Duration = Duration::from_millis(50);
const LEAVE_LOOKS: u32 = 600;

/// What a slot keeps, and how far its reader is behind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SlotLag {
    /// Bytes of the log that were written and are not confirmed.
    pub behind_bytes: u64,
    /// Bytes of the log that the server keeps because of the slot: those, and what is needed to
    /// decode them, back to the oldest transaction that is open.
    pub retained_bytes: u64,
    /// How many more bytes may be written until the server takes the slot's log away; none: no
    /// limit is set, and a slot that nobody reads fills the disk (`max_slot_wal_keep_size`).
    pub room_bytes: Option<u64>,
    /// Whether somebody reads it.
    pub is_active: bool,
    /// The server's word: `reserved`, `extended`, `unreserved` (it is about to be lost), `lost`.
    pub status: String,
}

/// What is done where a slot keeps more of the log than is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OverLimit {
    /// It is told, by the status of who reads it.
    #[default]
    Tell,
    /// The reader stops with an error. The slot stays, and keeps its log.
    Stop,
    /// The slot is dropped, so that the disk is saved, and the reader stops with an error. What
    /// was not read from it has to be found elsewhere: of an outbox in its table, which the next
    /// start does; of captured tables by another snapshot.
    Drop,
}

/// What is known of a slot; none where it is not there.
pub(crate) async fn lag(
    connection: &mut PgConnection,
    slot: &str,
) -> Result<Option<SlotLag>, CdcError> {
    let sql = "SELECT coalesce(pg_current_wal_lsn() - confirmed_flush_lsn, 0)::bigint,
        coalesce(pg_current_wal_lsn() - restart_lsn, 0)::bigint, safe_wal_size, active,
        coalesce(wal_status, '')
        FROM pg_replication_slots WHERE slot_name = $1";
    let row = sqlx::query(sql).bind(slot).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let bytes = |column| row.try_get::<i64, _>(column).map(|bytes| bytes.max(0).cast_unsigned());
    let room: Option<i64> = row.try_get(2)?;
    Ok(Some(SlotLag {
        behind_bytes: bytes(0)?,
        retained_bytes: bytes(1)?,
        room_bytes: room.map(|bytes| bytes.max(0).cast_unsigned()),
        is_active: row.try_get(3)?,
        status: row.try_get(4)?,
    }))
}

/// How far the log is written.
pub(crate) async fn written(connection: &mut PgConnection) -> Result<Lsn, CdcError> {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    let bytes: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(Lsn(bytes.cast_unsigned()))
}

/// What a limit says about a slot.
pub(crate) fn over(lag: &SlotLag, slot: &str, limit: (u64, OverLimit)) -> Option<CdcError> {
    let (max_bytes, policy) = limit;
    let done = match policy {
        OverLimit::Tell => return None,
        OverLimit::Stop => {
            "its reader has stopped; let it go on with a higher limit, or drop the slot"
        }
        OverLimit::Drop => "it was dropped; the next start makes it anew",
    };
    let retained_bytes = lag.retained_bytes;
    let name = slot.to_owned();
    (retained_bytes > max_bytes).then_some(CdcError::OverLimit {
        name,
        retained_bytes,
        max_bytes,
        done,
    })
}

/// Drops a slot that nobody reads any more; its reader may need a moment to leave it.
pub(crate) async fn drop_slot(connection: &mut PgConnection, slot: &str) -> Result<(), CdcError> {
    let sql = "SELECT active, CASE WHEN NOT active THEN pg_drop_replication_slot(slot_name) END
        FROM pg_replication_slots WHERE slot_name = $1";
    for _ in 0..LEAVE_LOOKS {
        let found = sqlx::query(sql).bind(slot).fetch_optional(&mut *connection).await;
        match found {
            Ok(Some(row)) if row.try_get(0)? => {}
            Ok(_) => return Ok(()),
            // It was taken in that moment.
            Err(error) if CdcError::is_in_use(&error) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LEAVE_INTERVAL).await;
    }
    Err(CdcError::SlotInUse { name: slot.to_owned(), why: "its reader does not leave".to_owned() })
}
