//! What a running app tells of itself: spans with their fields, and numbers.

mod numbers;
mod spans;

use crate::{
    payments::{OrderPlaced, Payment, Place, Receive, Shop},
    shop,
};
use factum_app::{
    App, MemoryStore, Metadata, OnError,
    bus::{Delivery, HandlerError},
    consumer::Finally,
    observe::W3c,
};
use spans::{Spans, seen};
use std::{sync::Arc, time::Duration};

const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn known() -> Metadata {
    let trace_state = Some("vendor=1".to_owned());
    Metadata { trace_parent: Some(CAME.to_owned()), trace_state, ..Metadata::default() }
}

fn trace_of(shop: &Shop, event_type: &str) -> String {
    let events = shop.events();
    let event = events.iter().find(|event| event.event_type().as_str() == event_type).unwrap();
    let known = Metadata::of(event);
    assert_eq!(known.trace_state.as_deref(), Some("vendor=1"), "{event_type}");
    known.trace_parent.unwrap()
}

/// Command → event → process → command → event, each within the one before, in the trace that came.
#[test]
fn one_trace_goes_through_a_process() {
    let (shop, spans) = (Shop::new(7), Spans::default());
    let events = seen(&spans, || {
        let builder = App::builder(shop.store.clone()).world(Arc::new(shop.world.clone()));
        let starting = builder.traces(W3c).process::<Payment>(OnError::Stop).start();
        let app = shop.world.run(starting).unwrap();
        shop.world.run(app.execute(Place { order: 1 }).into_future()).unwrap();
        let paying = app.execute(Receive { order: 1 }).key("n-1").metadata(known());
        let paid = shop.world.run(paying.into_future()).unwrap();
        shop.run_for(Duration::from_secs(5));
        (paid, trace_of(&shop, "payment.received"), trace_of(&shop, "order.confirmed"))
    });
    let (paid, received, confirmed) = events;
    let command = spans.one("factum.command", &[("command", "payment.receive")]);
    let correlation = paid.correlation.to_string();
    command.has("correlation", &correlation);
    command.has("key", "n-1");
    command.has("boundary", "payment-1");
    command.has("attempts", "1");
    command.has("events", "1");
    command.has("position", &paid.position.to_string());
    command.has("outcome", "done");
    command.has("trace_id", TRACE);
    command.has("parent_span_id", "b7ad6b7169203331");
    assert_eq!(received, format!("00-{TRACE}-{}-01", command.get("span_id")));

    let step = spans.one("factum.step", &[("input", "event"), ("correlation", &correlation)]);
    step.has("process", "payment");
    step.has("key", "1");
    step.has("causation", &paid.ids[0].to_string());
    step.has("position", &paid.position.to_string());
    step.has("outcome", "running");
    step.has("trace_id", TRACE);
    step.has("parent_span_id", command.get("span_id"));

    let dispatch = spans.one("factum.dispatch", &[("command", "order.confirm")]);
    dispatch.has("correlation", &correlation);
    dispatch.has("outcome", "done");
    dispatch.has("parent_span_id", step.get("span_id"));

    let confirm = spans.one("factum.command", &[("command", "order.confirm")]);
    confirm.has("correlation", &correlation);
    confirm.has("trace_id", TRACE);
    confirm.has("parent_span_id", dispatch.get("span_id"));
    assert_eq!(confirm.parent.as_deref(), Some("factum.dispatch"));
    assert_eq!(confirmed, format!("00-{TRACE}-{}-01", confirm.get("span_id")));

    let reply = spans.one("factum.step", &[("input", "reply")]);
    reply.has("outcome", "ended");
    reply.has("parent_span_id", dispatch.get("parent_span_id"));
    let appended = [("stream", "order-1"), ("position", confirm.get("position"))];
    let append = spans.one("factum.append", &appended);
    assert_eq!((append.parent.as_deref(), append.get("outcome")), (Some("factum.command"), "done"));
}

/// Nobody asked for traces: what came is handed on as it is, and none is made.
#[tokio::test]
async fn without_traces_what_came_is_handed_on() {
    let shop = Shop::new(8);
    let app = shop.client();
    shop.world.run(app.execute(Receive { order: 1 }).metadata(known()).into_future()).unwrap();
    assert_eq!(trace_of(&shop, "payment.received"), CAME);
    shop.world.run(app.execute(Place { order: 2 }).into_future()).unwrap();
    let events = shop.events();
    let placed = events.iter().find(|event| event.stream().as_str() == "order-2").unwrap();
    assert_eq!(Metadata::of(placed).trace_parent, None);
}

/// Each end of a command is told apart, and only what failed is an error.
#[tokio::test]
async fn how_commands_end() {
    let spans = Spans::default();
    let _seen = spans.collect();
    let app = App::new(MemoryStore::new());
    app.execute(shop::Place { order: 1, total: 5 }).key("a").await.unwrap();
    app.execute(shop::Place { order: 1, total: 5 }).key("a").await.unwrap();
    app.execute(shop::Place { order: 1, total: 5 }).await.unwrap_err();
    app.execute(shop::Cancel { order: 2 }).await.unwrap();
    let long = "x".repeat(100_000);
    app.execute(shop::Place { order: 3, total: 5 }).key(long).await.unwrap_err();
    let ends: Vec<_> = spans.all("factum.command");
    let of = |name| ends.iter().map(|one| one.find(name).unwrap_or("")).collect::<Vec<_>>();
    assert_eq!(of("outcome"), ["done", "replayed", "refused", "nothing", "failed"]);
    assert_eq!(of("otel.status_code"), ["", "", "", "", "ERROR"]);
    ends[2].has("error", "Exists");
    assert!(ends[4].get("error").contains("100"), "{:?}", ends[4]);
}

/// A handler: the attempts of an event are one span, and its commands are within it.
#[test]
fn a_delivery_that_is_tried_again() {
    let (shop, spans) = (Shop::new(9), Spans::default());
    seen(&spans, || {
        let policy = OnError::retry(3, Finally::Park);
        let handler = |placed: Delivery<OrderPlaced>| async move {
            if placed.attempt < 3 {
                return Err(HandlerError { retryable: true, why: "not yet".into() });
            }
            placed.execute(Receive { order: placed.event.order }).await?;
            Ok(())
        };
        let builder = App::builder(shop.store.clone()).world(Arc::new(shop.world.clone()));
        let starting = builder.traces(W3c).on("pay", policy, handler).start();
        let app = shop.world.run(starting).unwrap();
        let placing = app.execute(Place { order: 1 }).metadata(known());
        shop.world.run(placing.into_future()).unwrap();
        shop.run_for(Duration::from_secs(60));
    });
    let placed = spans.one("factum.command", &[("command", "order.place")]);
    let delivery = spans.one("factum.delivery", &[]);
    delivery.has("handler", "pay");
    delivery.has("event_type", "order.placed");
    delivery.has("stream", "order-1");
    delivery.has("position", "1");
    delivery.has("correlation", placed.get("correlation"));
    delivery.has("attempts", "3");
    delivery.has("outcome", "handled");
    delivery.has("parent_span_id", placed.get("span_id"));
    let paid = spans.one("factum.command", &[("command", "payment.receive")]);
    paid.has("parent_span_id", delivery.get("span_id"));
    paid.has("trace_id", TRACE);
    let batch = spans.one("factum.batch", &[("consumer", "pay"), ("events", "1")]);
    batch.has("position", "1");
    batch.has("outcome", "handled");
}
