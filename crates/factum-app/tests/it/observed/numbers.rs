//! The numbers, as a recorder has them.

use crate::{payments, shop};
use factum_app::{App, MemoryStore, OnError, bus::Delivery, bus::HandlerError};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// How often each was told, and its sum; of a gauge what was told last.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<BTreeMap<String, (u64, f64)>>>);

struct Number {
    all: Numbers,
    name: String,
}

impl Number {
    fn tell(&self, change: impl FnOnce(&mut f64)) {
        let mut all = self.all.0.lock().unwrap();
        let (count, value) = all.entry(self.name.clone()).or_default();
        *count += 1;
        change(value);
    }
}

impl CounterFn for Number {
    fn increment(&self, by: u64) {
        self.tell(|value| *value += by as f64);
    }

    fn absolute(&self, to: u64) {
        self.tell(|value| *value = to as f64);
    }
}

impl GaugeFn for Number {
    fn increment(&self, by: f64) {
        self.tell(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.tell(|value| *value -= by);
    }

    fn set(&self, to: f64) {
        self.tell(|value| *value = to);
    }
}

impl HistogramFn for Number {
    fn record(&self, one: f64) {
        self.tell(|value| *value += one);
    }
}

impl Numbers {
    fn number(&self, key: &Key) -> Arc<Number> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Arc::new(Number { all: self.clone(), name })
    }

    fn get(&self, name: &str) -> (u64, f64) {
        let all = self.0.lock().unwrap();
        *all.get(name).unwrap_or_else(|| panic!("{name} of {all:#?}"))
    }

    fn value(&self, name: &str) -> f64 {
        self.get(name).1
    }
}

impl Recorder for Numbers {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.number(key).into()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.number(key).into()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.number(key).into()
    }
}

#[tokio::test]
async fn commands_are_counted_by_their_ends() {
    let numbers = Numbers::default();
    let _told = metrics::set_default_local_recorder(&numbers);
    let app = App::new(MemoryStore::new());
    app.execute(shop::Place { order: 1, total: 5 }).await.unwrap();
    app.execute(shop::Place { order: 2, total: 5 }).await.unwrap();
    app.execute(shop::Place { order: 1, total: 5 }).await.unwrap_err();
    app.execute(shop::Cancel { order: 9 }).await.unwrap();
    // Another instance writes, so that what this one keeps is old.
    let other = App::new(app.store().clone());
    other.execute(shop::Cancel { order: 1 }).await.unwrap();
    other.execute(shop::Cancel { order: 2 }).await.unwrap();
    let total = |command: &str, outcome: &str| {
        numbers.value(&format!("factum_commands_total command={command} outcome={outcome}"))
    };
    assert_eq!((total("order.place", "done"), total("order.place", "refused")), (2.0, 1.0));
    assert_eq!((total("order.cancel", "nothing"), total("order.cancel", "done")), (1.0, 2.0));
    let (count, _) = numbers.get("factum_command_seconds command=order.place");
    assert_eq!(count, 3);
    // On its old state it emits, is found out, and decides anew.
    app.execute(shop::Cancel { order: 1 }).await.unwrap();
    assert_eq!(numbers.value("factum_command_conflicts_total command=order.cancel"), 1.0);
}

#[test]
fn consumers_tell_what_they_did_and_how_far_they_are() {
    let numbers = Numbers::default();
    let _told = metrics::set_default_local_recorder(&numbers);
    let shop = payments::Shop::new(3);
    let handler = |placed: Delivery<payments::OrderPlaced>| async move {
        match placed.event.order {
            2 => Err(HandlerError::poison("a two")),
            _ => Ok(()),
        }
    };
    let builder = App::builder(shop.store.clone()).world(Arc::new(shop.world.clone()));
    let starting = builder.on("mail", OnError::Park, handler).start();
    let app = shop.world.run(starting).unwrap();
    for order in 1..=3 {
        shop.world.run(app.execute(payments::Place { order }).into_future()).unwrap();
    }
    shop.run_for(Duration::from_secs(5));
    let of = |name: &str| numbers.value(&format!("factum_consumer_{name} consumer=mail version=1"));
    assert_eq!((of("events_total"), of("batch_events"), of("parked_events")), (3.0, 3.0, 1.0));
    assert_eq!((of("lag_events"), of("lag_seconds")), (0.0, 0.0));
    let total = |outcome: &str| {
        numbers.value(&format!("factum_deliveries_total handler=mail outcome={outcome}"))
    };
    assert_eq!((total("handled"), total("failed")), (2.0, 1.0));

    // One that rests falls behind; the store is asked how far, when somebody looks.
    let mail = app.consumer("mail").unwrap();
    shop.world.run(mail.pause());
    shop.world.run(app.execute(payments::Place { order: 4 }).into_future()).unwrap();
    shop.run_for(Duration::from_secs(30));
    shop.world.run(app.consumers()).unwrap();
    assert!(of("lag_events") >= 1.0, "{}", of("lag_events"));
    assert!(of("lag_seconds") >= 30.0, "{}", of("lag_seconds"));
    mail.resume();
    shop.run_for(Duration::from_secs(5));
    assert_eq!((of("lag_events"), of("lag_seconds"), of("events_total")), (0.0, 0.0, 4.0));
}
