//! A store in a real PostgreSQL: every command by `--at`, and every protocol by `serve --store`.

use super::support::{Place, Server, member};
use factum_services::postgres::Postgres;

/// A store of its own for each test, on one server.
fn url(schema: &str) -> String {
    format!("{}?factum_schema={schema}", Postgres::shared().unwrap().url())
}

#[test]
fn commands_work_without_a_server_of_ours() {
    let mut place = Place::new();
    place.at = url("by_commands");
    place.append("order-1", "order.placed", r#"{"total": 12}"#);
    place
        .run(&["append", "order-1", "--type", "order.paid", "--expect", "none"])
        .fails(3, &["order-1"]);
    let all = place.events(&["--all"]);
    assert_eq!(member(&all, "type"), ["order.placed"]);
    assert!(place.run(&["stats"]).ok().contains("head"));
    place.run(&["delete", "order-1"]).ok();
    place.run(&["read", "order-1"]).fails(4, &["order-1"]);
}

#[test]
fn every_protocol_is_served_over_it() {
    let mut place = Place::new();
    let store = url("served");
    let args = ["serve", "--insecure", "--store", &store, "--listen", "127.0.0.1:0"];
    let server = Server::start(&mut place.command(&args), "factum serves postgres://");
    assert!(!server.banner.contains('@'), "{}", server.banner);
    place.at.clone_from(&server.url);
    place.append("order-1", "order.placed", "{}");
    place.at = format!("kurrentdb://{}?tls=false", server.authority());
    place.append("order-2", "order.placed", "{}");
    assert_eq!(member(&place.events(&["--all"]), "stream"), ["order-1", "order-2"]);
    let (code, said) = server.stop("TERM");
    assert_eq!(code, 0, "{said}");
    place.at = store;
    assert_eq!(place.events(&["--all"]).len(), 2);
}

#[test]
fn a_store_and_a_folder_are_not_served_together() {
    let place = Place::new();
    let args = ["serve", "--insecure", "--store", "postgres://h/d", "--data", "x"];
    assert_eq!(place.run(&args).code, 2);
    place
        .run(&["read", "--all", "--at", "postgres://127.0.0.1:1/d"])
        .fails(7, &["whether it runs"]);
}
