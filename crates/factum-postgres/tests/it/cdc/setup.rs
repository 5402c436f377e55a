//! What is asked of a server, and the cures: of a real one whose settings are wrong, and of one
//! whose slots are all taken, or lost.

use super::{Broker, Room, told, until};
use crate::support::{address, runtime};
use factum_postgres::{
    cdc::{CdcError, CdcRelay, CdcRelayOptions, CdcState},
    sqlx::{
        ConnectOptions,
        postgres::{PgConnectOptions, PgSslMode},
    },
};
use factum_services::postgres::Postgres;
use std::sync::Arc;

/// Why a relay does not start.
async fn refused(address: PgConnectOptions, options: CdcRelayOptions) -> CdcError {
    let relay = CdcRelay::at(address, Arc::new(Broker::default()), options).unwrap();
    let mut relay = relay.start();
    let stopped = told(&mut relay, |status| matches!(status.state, CdcState::Stopped { .. })).await;
    let CdcState::Stopped { why: Some(why) } = stopped.state else { panic!("{stopped:?}") };
    why
}

#[track_caller]
fn check(error: &CdcError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    runtime().block_on(async {
        let mut room = Room::new().await;
        let given = CdcRelayOptions { makes: false, ..room.options() };
        let error = refused(room.address.clone(), given.clone()).await;
        assert!(matches!(error, CdcError::NoPublication { .. }));
        check(&error, &["CREATE PUBLICATION", "factum_outbox", "publish = 'insert'"]);
        room.run("CREATE TABLE {s}.other (id int); CREATE PUBLICATION {s} FOR TABLE {s}.other")
            .await;
        let error = refused(room.address.clone(), given.clone()).await;
        assert!(matches!(error, CdcError::PublicationLacks { .. }));
        check(&error, &["ALTER PUBLICATION", "ADD TABLE"]);
        room.run("ALTER PUBLICATION {s} ADD TABLE {s}.factum_outbox").await;
        room.run("ALTER PUBLICATION {s} SET (publish = 'delete')").await;
        let error = refused(room.address.clone(), given.clone()).await;
        check(&error, &["SET (publish = 'insert')"]);
        room.run("ALTER PUBLICATION {s} SET (publish = 'insert')").await;
        let error = refused(room.address.clone(), given.clone()).await;
        assert!(matches!(error, CdcError::NoSlot { .. }));
        check(&error, &["pg_create_logical_replication_slot", "pgoutput"]);
        room.number("SELECT count(pg_create_logical_replication_slot('{s}', 'test_decoding'))")
            .await;
        let error = refused(room.address.clone(), given.clone()).await;
        assert!(matches!(error, CdcError::SlotOfOthers { .. }));
        check(&error, &["test_decoding"]);
        room.number("SELECT count(pg_drop_replication_slot('{s}'))").await;
        let elsewhere = CdcRelayOptions { schema: "nowhere".into(), ..given.clone() };
        assert!(matches!(refused(room.address.clone(), elsewhere).await, CdcError::NoTable { .. }));
        room.run("ALTER TABLE {s}.factum_outbox DROP COLUMN dead_at").await;
        let error = refused(room.address.clone(), room.options()).await;
        assert!(matches!(error, CdcError::NoOutbox { .. }));
        check(&error, &["dead_at"]);
        let slot = CdcRelayOptions { slot: "Not-A-Slot".into(), ..given.clone() };
        assert!(matches!(refused(room.address.clone(), slot).await, CdcError::Name { .. }));
    });
}

/// What says which rows were there before a slot was kept only where the relay made that slot: one
/// by an operator stopped it (the table was missing), and one that he made anew was taken for the
/// one before, so that the rows between were never published.
#[test]
fn a_slot_that_an_operator_makes_loses_nothing() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        let given = CdcRelayOptions { makes: false, ..room.options() };
        let make = "SELECT count(pg_create_logical_replication_slot('{s}', 'pgoutput'))";
        room.run("CREATE PUBLICATION {s} FOR TABLE {s}.factum_outbox WITH (publish = 'insert')")
            .await;
        room.insert(&["a1"]).await;
        room.number(make).await;
        let relay = room.start_with(&broker, given.clone());
        broker.has(1).await;
        relay.stop().await;
        room.drop_slot().await;
        room.insert(&["a2"]).await;
        let error = refused(room.address.clone(), given.clone()).await;
        assert!(matches!(error, CdcError::NoSlot { .. }), "{error}");
        room.number(make).await;
        let relay = room.start_with(&broker, given);
        room.insert(&["a3"]).await;
        broker.has(3).await;
        assert_eq!(broker.ids(), ["a1", "a2", "a3"]);
        room.leave(relay).await;
    });
}

#[test]
fn who_may_not_replicate_is_told_so() {
    runtime().block_on(async {
        let mut room = Room::new().await;
        room.run("CREATE ROLE {s} LOGIN; GRANT USAGE ON SCHEMA {s} TO {s}").await;
        let stranger = room.address.clone().username(&room.schema);
        let error = refused(stranger.clone(), room.options()).await;
        assert!(matches!(error, CdcError::NoReplicationRight { .. }));
        check(&error, &["ALTER ROLE", "REPLICATION", &room.schema]);
        // Who may replicate, and does not own the table, cannot publish it.
        room.run("ALTER ROLE {s} REPLICATION").await;
        let error = refused(stranger, room.options()).await;
        assert!(matches!(error, CdcError::NoRight { .. }), "{error}");
        check(&error, &["CREATE PUBLICATION"]);
        let encrypted = room.address.clone().ssl_mode(PgSslMode::Require);
        let wire = refused(encrypted, room.options()).await;
        assert!(matches!(wire, CdcError::Encrypted { .. }), "{wire}");
        room.run("DROP OWNED BY {s}; DROP ROLE {s}").await;
    });
}

#[test]
fn a_server_without_logical_log_without_slots_or_with_a_lost_one() {
    let settings = [
        ("wal_level", "replica"),
        ("max_replication_slots", "1"),
        ("max_slot_wal_keep_size", "1MB"),
        ("min_wal_size", "32MB"),
        ("max_wal_size", "32MB"),
    ];
    let mut server = Postgres::start_with(&settings).unwrap();
    let address: PgConnectOptions = server.url().parse().unwrap();
    let address = address.disable_statement_logging();
    let mut room = runtime().block_on(async {
        let room = Room::at(address.clone()).await;
        let error = refused(address.clone(), room.options()).await;
        assert!(matches!(error, CdcError::WalLevel { .. }));
        check(&error, &["replica", "ALTER SYSTEM SET wal_level = 'logical'", "restart"]);
        room
    });
    server.psql("ALTER SYSTEM SET wal_level = 'logical'").unwrap();
    server.restart().unwrap();
    runtime().block_on(async {
        room.connection = address.connect().await.unwrap();
        room.number("SELECT count(pg_create_physical_replication_slot('taken'))").await;
        let error = refused(address.clone(), room.options()).await;
        assert!(matches!(error, CdcError::NoSlotFree { .. }), "{error}");
        check(&error, &["all 1", "max_replication_slots"]);
        room.number("SELECT count(pg_drop_replication_slot('taken'))").await;
        let broker = Broker::default();
        let relay = room.start(&broker);
        room.insert(&["a1"]).await;
        broker.has(1).await;
        relay.stop().await;
        room.insert(&["a2"]).await;
        until("the slot is lost", async || {
            room.write_log(512).await;
            room.number("SELECT count(pg_switch_wal())").await;
            room.run("CHECKPOINT").await;
            let lost = "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'";
            room.number(lost).await == 1
        })
        .await;
        let error = refused(address.clone(), room.options()).await;
        assert!(matches!(error, CdcError::SlotLost { .. }), "{error}");
        check(&error, &["lost", "max_slot_wal_keep_size", "pg_drop_replication_slot"]);
        // The cure, and nothing is lost: what was not published is in the table.
        room.number("SELECT count(pg_drop_replication_slot('{s}'))").await;
        let relay = room.start(&broker);
        broker.has(2).await;
        assert_eq!(broker.ids(), ["a1", "a2"]);
        room.leave(relay).await;
    });
}

#[test]
fn an_address_is_understood() {
    let broker = || Arc::new(Broker::default());
    let options = CdcRelayOptions::default();
    let error = CdcRelay::new("postgres://u@h:port/d", broker(), options.clone()).unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let url = address().to_url_lossy().to_string();
    assert!(CdcRelay::new(&url, broker(), options).is_ok());
}
