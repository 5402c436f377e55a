//! Asks how far the slot is behind, over a connection of its own: a broker or a server that holds
//! up the relay does not hold up this.

use super::{CdcRelay, CdcRelayStatus, Telling};
use crate::cdc::{
    CdcError,
    halt::{Halt, Halting},
    lag,
};
use sqlx::PgConnection;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// Looks until it is dropped with the relay.
pub(super) async fn watch(relay: CdcRelay, told: Arc<Telling>, halting: Weak<Halting>) {
    let mut connection = None;
    loop {
        // What fails here is told by the relay itself, which needs the server too.
        let looked = tokio::time::timeout(LOOK_LIMIT, look(&relay, &mut connection, &told)).await;
        match looked {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(over))) => {
                // Where nobody holds the relay any more, it ends by itself.
                if let Some(halting) = halting.upgrade() {
                    halting.send_if_modified(|halt| {
                        let is_first = matches!(halt, Halt::No);
                        if is_first {
                            *halt = Halt::Because(over);
                        }
                        is_first
                    });
                }
            }
            Ok(Err(_)) | Err(_) => connection = None,
        }
        sleep(relay.options.check).await;
    }
}

/// Tells what is known; an error where it must not go on.
async fn look(
    relay: &CdcRelay,
    connection: &mut Option<PgConnection>,
    told: &watch::Sender<CdcRelayStatus>,
) -> Result<Option<CdcError>, CdcError> {
    let held = match connection {
        Some(held) => held,
        none => none.insert(relay.source.connect().await?),
    };
    let Some(lag) = lag::lag(held, &relay.source.slot).await? else { return Ok(None) };
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000";
    let now: i64 = sqlx::query_scalar(sql).fetch_one(held).await?;
    let (max, policy) = (relay.options.retained_bytes_max, relay.options.over_limit);
    let over = lag::over(&lag, &relay.source.slot, (max, policy));
    told.send_modify(|status| {
        let since = status.behind_since.map_or(0, |since| now.saturating_sub(since.0));
        status.behind = Duration::from_nanos(since.max(0).unsigned_abs());
        status.is_over_limit = lag.retained_bytes > max;
        status.lag = lag;
    });
    Ok(over)
}
