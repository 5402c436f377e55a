//! Which instance of an app runs a consumer, where there are several.

use super::{
    Either, Handler, RunState, race,
    run::End,
    seat::{Seat, Want},
};
use crate::lease::{Lease, LeaseError};
use std::time::Duration;

/// How often an instance that waits looks how far the one is that has the consumer, while somebody
/// asks. Between instances there is nothing that would tell it.
const LOOK: Duration = Duration::from_millis(50);
/// How long giving a lease up may take.
const GIVE_UP: Duration = Duration::from_secs(1);

/// Waits until this instance has the consumer; none where no lease is needed.
pub(super) async fn hold<H: Handler>(
    handler: &mut H,
    seat: &Seat,
    want: Want,
) -> Result<Option<Lease>, End> {
    let Some(leases) = &seat.leases else { return Ok(None) };
    seat.enter(RunState::Elsewhere);
    let spec = &seat.shared.spec;
    let name = format!("{}.v{}", spec.name, spec.version);
    let waiting = race(seat.interrupted(want), look(handler, seat));
    match race(leases.acquire(&name), waiting).await {
        Either::First(lease) => {
            let lease = lease.map_err(LeaseError::into_failure)?;
            handler.fence(lease.fence());
            Ok(Some(lease))
        }
        Either::Second(Either::First(interrupt)) => Err(End::Interrupted(interrupt)),
        Either::Second(Either::Second(never)) => match never {},
    }
}

/// Tells who waits here how far the other instance is.
async fn look<H: Handler>(handler: &mut H, seat: &Seat) -> std::convert::Infallible {
    loop {
        if seat.shared.progress.receiver_count() > 0
            && let Ok(Some(through)) = handler.peek().await
        {
            let generation = handler.generation();
            seat.shared.progress.send_if_modified(|progress| {
                let before = (progress.through, progress.generation);
                (progress.through, progress.generation) = (through, generation);
                before != (through, generation)
            });
        }
        seat.world.sleep(LOOK).await;
    }
}

/// Lets another instance have it at once.
pub(super) async fn give_up(lease: Lease, seat: &Seat) {
    // Where it cannot be said, the other one finds out by itself.
    let _ = race(lease.release(), seat.world.sleep(GIVE_UP)).await;
}
