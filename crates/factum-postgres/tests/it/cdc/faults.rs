//! What others do wrong: a service that writes rows of another form, a publisher that panics.

use super::{Broker, PATIENCE, Room, told, until};
use crate::support::runtime;
use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    outbox::Outbox,
    world::BoxFuture,
};
use factum_postgres::{
    Options, PostgresOutbox,
    cdc::{CdcError, CdcRelay, CdcState},
    sqlx::postgres::PgPoolOptions,
};
use std::sync::Arc;

/// A row whose headers could not be read stopped the relay, and at each start again. And a dead row
/// was deleted when it was discarded, so that after a crash of the server the log brought it back.
#[test]
fn a_row_that_cannot_be_read_is_dead_and_holds_up_its_key_only() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        // One that is found in the table, and one that the log tells of.
        room.insert(&["c1", "c2"]).await;
        room.run("UPDATE {s}.factum_outbox SET headers = '{}' WHERE id = 'c1'").await;
        let mut relay = room.start(&broker);
        told(&mut relay, |status| status.dead == 1).await;
        room.run("BEGIN").await;
        room.insert(&["a1"]).await;
        room.run(
            "INSERT INTO {s}.factum_outbox (id, aggregatetype, aggregateid, type, payload, headers,
                created_at) VALUES ('a2', 'orders.placed', 'a', 'order.placed', '', '[]', 0)",
        )
        .await;
        room.insert(&["a3", "b1"]).await;
        room.run("COMMIT").await;
        broker.has(2).await;
        let running = |state: &CdcState| matches!(state, CdcState::Running);
        let status = told(&mut relay, |status| status.dead == 2).await;
        assert!(running(&status.state) && status.is_waiting_for_operator, "{status:?}");
        relay.stop().await;
        let relay = room.start(&broker);
        room.insert(&["a4", "b2"]).await;
        broker.has(3).await;
        assert_eq!(broker.ids(), ["a1", "b1", "b2"]);
        let pool = PgPoolOptions::new().connect_lazy_with(room.address.clone());
        let options = Options { schema: room.schema.clone(), ..Options::default() };
        let outbox = PostgresOutbox::open(pool, options).await.unwrap();
        for row in outbox.dead(9).await.unwrap() {
            let number = format!("row {}", row.row.sequence);
            assert!(row.error.contains(&number) && row.error.contains("headers"), "{row:?}");
            assert!(outbox.discard(row.row.sequence).await.unwrap());
        }
        broker.has(6).await;
        assert_eq!(broker.of("a"), ["a1", "a3", "a4"]);
        assert_eq!(broker.of("c"), ["c2"]);
        let kept = "SELECT count(*) FROM {s}.factum_outbox
            WHERE id IN ('a2', 'c1') AND published_at IS NOT NULL AND error IS NOT NULL";
        until("both are known to be done", async || room.number(kept).await == 2).await;
        room.leave(relay).await;
    });
}

#[derive(Debug)]
struct Panics;

impl Publisher for Panics {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(&'a self, _: &'a [Outgoing]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async { panic!("planted: a publisher that panics") })
    }
}

/// What watches the slot was a task of its own, and held what tells of the relay: the status said
/// `Running` for ever, and who stopped it waited for ever.
#[test]
fn a_publisher_that_panics_stops_the_relay_and_that_is_told() {
    runtime().block_on(async {
        let mut room = Room::new().await;
        let relay = CdcRelay::at(room.address.clone(), Arc::new(Panics), room.options()).unwrap();
        let mut relay = relay.start();
        room.insert(&["a1"]).await;
        let ended =
            |state: &CdcState| matches!(state, CdcState::Stopped { why: Some(CdcError::Ended) });
        let status = told(&mut relay, |status| ended(&status.state)).await;
        assert!(ended(&status.state), "{status:?}");
        tokio::time::timeout(PATIENCE, relay.stop()).await.unwrap();
        room.drop_slot().await;
    });
}
