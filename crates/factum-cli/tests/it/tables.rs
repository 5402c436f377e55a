//! Importing from tables in a real PostgreSQL: one that somebody made by hand, and Marten's.

use super::support::{Place, member};
use factum_services::postgres::Postgres;
use serde_json::json;

/// A database of its own for each test, on one server.
fn database(name: &str, statements: &str) -> String {
    let postgres = Postgres::shared().unwrap();
    postgres.psql(&format!("CREATE DATABASE {name}")).unwrap();
    let statements = statements.replace('\n', " ");
    let url = postgres.url().replace("/postgres", &format!("/{name}"));
    let url = url.replace(&format!("//{name}"), "//postgres");
    postgres.psql_at(&url, &statements).unwrap();
    url
}

#[test]
fn a_table_that_was_made_by_hand_goes_in_once_and_goes_on_later() {
    let url = database(
        "by_hand",
        r#"CREATE SCHEMA shop;
        CREATE TABLE shop.event_store (seq bigserial PRIMARY KEY, event_id uuid NOT NULL,
            stream text, version int, kind text, payload jsonb, meta json, at timestamptz);
        INSERT INTO shop.event_store (event_id, stream, version, kind, payload, meta, at) VALUES
          ('00000000-0000-4000-8000-000000000001', 'order-1', 1, 'placed',
           '{"customer": "ann", "cents": 12345678901234567890}', NULL, '2024-01-02 12:00+01'),
          ('00000000-0000-4000-8000-000000000002', 'order-2', 1, 'placed',
           '{"customer": ""}', '{"actor": "web"}', '2024-01-01 12:00+00'),
          ('00000000-0000-4000-8000-000000000003', 'order-1', 2, 'paid', NULL, NULL,
           '2024-01-03 12:00+00')"#,
    );
    let place = Place::new();
    let import = [
        "import",
        &url,
        "--table",
        "shop.event_store",
        "--order",
        "seq",
        "--data",
        "payload",
        "--metadata",
        "meta",
        "--stream",
        "{stream}",
        "--type",
        "order.{kind}",
        "--id",
        "{event_id}",
        "--time",
        "at",
        "--tag",
        "customer:{payload.customer}",
    ];
    assert_eq!(place.run(&import).ok(), "3 new, 0 already there\n");
    let all = place.events(&["--all"]);
    // In the order of the column that was named, though the times say otherwise.
    assert_eq!(member(&all, "stream"), ["order-1", "order-2", "order-1"]);
    assert_eq!(member(&all, "type"), ["order.placed", "order.placed", "order.paid"]);
    assert_eq!(all[0]["occurredAt"], "2024-01-02T11:00:00Z");
    assert_eq!(all[0]["id"], "00000000-0000-4000-8000-000000000001");
    assert_eq!((&all[0]["tags"], &all[1]["tags"]), (&json!(["customer:ann"]), &json!([])));
    assert_eq!((&all[1]["metadata"], &all[2]["data"]), (&json!({"actor": "web"}), &json!({})));
    assert!(place.run(&["read", "order-1"]).ok().contains("12345678901234567890"));
    let more = "INSERT INTO shop.event_store (event_id, stream, kind, payload, at) VALUES
        (gen_random_uuid(), 'order-2', 'paid', '{}', now())";
    Postgres::shared().unwrap().psql_at(&url, more).unwrap();
    assert_eq!(place.run(&import).ok(), "1 new, 3 already there\n");
}

#[test]
fn martens_events_go_in_as_they_are() {
    let url = database(
        "marten",
        r#"CREATE TABLE mt_events (seq_id bigint PRIMARY KEY, id uuid, stream_id uuid,
            version bigint, data jsonb, type varchar(500), timestamp timestamptz,
            tenant_id varchar, mt_dotnet_type varchar, correlation_id varchar,
            causation_id varchar, headers jsonb, is_archived bool);
        INSERT INTO mt_events VALUES
          (1, '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-0000000000aa', 1,
           '{"Customer": "ann"}', 'order_placed',
           '2024-05-01 10:00+00', '*DEFAULT*', 'Shop.OrderPlaced',
           '00000000-0000-4000-8000-0000000000bb', NULL, '{"user": "bob"}', false),
          (2, '00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-0000000000aa', 2,
           '{}', 'order_shipped',
           '2024-05-01 11:00+00', '*DEFAULT*', 'Shop.OrderShipped',
           NULL, NULL, NULL, true)"#,
    );
    let place = Place::new();
    let import = ["import", &url, "--format", "marten", "--stream", "order-{stream_id}"];
    assert_eq!(place.run(&import).ok(), "2 new, 0 already there\n");
    assert_eq!(place.run(&import).ok(), "0 new, 2 already there\n");
    let all = place.events(&["order-00000000-0000-4000-8000-0000000000aa"]);
    assert_eq!(member(&all, "type"), ["order_placed", "order_shipped"]);
    assert_eq!(all[0]["data"], json!({"Customer": "ann"}));
    assert_eq!(
        all[0]["metadata"],
        json!({"user": "bob", "$correlationId": "00000000-0000-4000-8000-0000000000bb"})
    );
}

#[test]
fn what_is_missing_is_named_with_its_cure_and_nothing_is_written() {
    let url = database("lacking", "CREATE TABLE e (n int, at text); INSERT INTO e VALUES (1, 'x')");
    let place = Place::new();
    let run = |more: &[&str]| place.run(&[&["import", &url], more].concat());
    let named = ["--stream", "a", "--type", "t"];
    run(&named).fails(2, &["which one has the events", "--table event_store --order seq"]);
    run(&[&["--table", "e"], &named[..]].concat()).fails(2, &["--order is missing"]);
    let e = ["--table", "e", "--order", "n"];
    run(&e).fails(2, &["--stream is missing"]);
    run(&[&e[..], &named, &["--data", "payload"]].concat())
        .fails(6, &["row 1: there is no column `payload`; there are `n`, `at`"]);
    run(&[&["--table", "nowhere", "--order", "n"], &named[..]].concat())
        .fails(6, &["relation \"nowhere\" does not exist", "nothing was written"]);
    run(&["--format", "csv"]).fails(2, &["--format is about files"]);
    place.run(&["import", "x.csv", "--table", "e"]).fails(2, &["this is a file"]);
    let nobody = "postgres://nobody@127.0.0.1:1/x";
    let away = [&["import", nobody], &e[..], &named].concat();
    place.run(&away).fails(6, &["the database: "]);
    assert!(!place.path("data").exists());
}
