//! What is refused when a store is opened, with the cure; and tables that several make at once.

use crate::support::{address, application, open, options, runtime, to};
use factum_core::EventStore;
use factum_postgres::{
    OpenError, Options, PostgresStore,
    sqlx::{AssertSqlSafe, raw_sql},
};
use factum_services::postgres::Postgres;

async fn refused(address: factum_postgres::sqlx::postgres::PgConnectOptions) -> String {
    PostgresStore::connect_with(address, options()).await.unwrap_err().to_string()
}

#[test]
fn a_server_that_could_lose_what_is_acknowledged_is_refused() {
    runtime().block_on(async {
        let off = address().options([("synchronous_commit", "off")]);
        let error = refused(off).await;
        assert!(error.contains("`synchronous_commit` is off") && error.contains("ALTER ROLE"));
        let server = Postgres::start_with(&[("fsync", "off")]).unwrap();
        let error = refused(server.url().parse().unwrap()).await;
        assert!(error.contains("`fsync` is off"), "{error}");
    });
}

#[test]
fn a_database_that_cannot_hold_every_name_is_refused() {
    runtime().block_on(async {
        let sql = "CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'";
        raw_sql(sql).execute(&application()).await.unwrap();
        let error = refused(address().database("narrow")).await;
        assert!(error.contains("LATIN1") && error.contains("ENCODING 'UTF8'"), "{error}");
    });
}

#[test]
fn tables_of_a_newer_format_are_refused() {
    runtime().block_on(async {
        let options = options();
        open(&options).await.close();
        let sql = format!("UPDATE {}.factum_store SET format = 99", options.schema);
        raw_sql(AssertSqlSafe(sql)).execute(&application()).await.unwrap();
        let newer = PostgresStore::connect_with(address(), options).await;
        assert!(matches!(newer, Err(OpenError::NewerFormat { found: 99, .. })), "{newer:?}");
    });
}

#[test]
fn many_make_the_tables_at_once_and_one_does() {
    runtime().block_on(async {
        let options = Options { schema: format!("{} \"odd\"", options().schema), ..options() };
        let opening = (0..8).map(|_| {
            let options = options.clone();
            tokio::spawn(async move { open(&options).await })
        });
        let mut ids = Vec::new();
        for (nth, opening) in opening.collect::<Vec<_>>().into_iter().enumerate() {
            let store = opening.await.unwrap();
            store.append(to("a-1", [nth as u128 + 1])).await.unwrap();
            ids.push(store.id());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "one store");
    });
}

#[test]
fn a_server_that_is_not_there_is_named() {
    runtime().block_on(async {
        let error = refused(address().port(1)).await;
        assert!(error.contains("whether it runs"), "{error}");
    });
}
