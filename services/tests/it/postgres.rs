//! PostgreSQL: rows that were committed are there after `kill -9`; nothing is left of it.

use factum_services::postgres::Postgres;

#[test]
fn rows_survive_kill_9() {
    let mut postgres = Postgres::start().unwrap();
    let port = postgres.port();
    postgres.psql("create table t (n int); insert into t values (7)").unwrap();
    postgres.kill9().unwrap();
    let error = postgres.psql("select n from t").unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    postgres.restart().unwrap();
    assert_eq!(postgres.port(), port);
    assert_eq!(postgres.psql("select n from t").unwrap(), "7\n");
}

#[test]
fn logical_decoding_is_on_unless_a_test_says_otherwise() {
    let shared = Postgres::shared().unwrap();
    assert_eq!(shared.psql("show wal_level").unwrap(), "logical\n");
    assert_eq!(Postgres::shared().unwrap().port(), shared.port());
    let replica = Postgres::start_with(&[("wal_level", "replica")]).unwrap();
    assert_eq!(replica.psql("show wal_level").unwrap(), "replica\n");
    assert_ne!(replica.port(), shared.port());
}
