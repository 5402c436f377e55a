//! One service as a process of its own: its store, what it tells, what it hears, what it does.

use crate::{
    broker::{Broker, TOPICS},
    services::{asks, fulfilment::Fulfilment, inventory, order, payment, shipping},
};
use factum::app::{
    AppBuilder, EventSet, Publication,
    bus::Handle,
    consumer::Finally,
    message::{ReceiverState, Subscription},
    prelude::*,
};
use factum_postgres::PostgresStore;

/// Who there is.
pub(crate) const NAMES: [&str; 4] = ["order", "inventory", "payment", "shipping"];

/// What each tells the others: all of its facts, as they are.
macro_rules! tells {
    ($publication:ident, $name:literal, $topic:literal, $event:ty) => {
        struct $publication;

        impl Publication for $publication {
            const NAME: &'static str = $name;
            const TOPIC: Option<&'static str> = Some($topic);
            type Event = $event;
            type State = ();
            type Message = $event;

            fn message(event: &Envelope<$event>, _: &()) -> Option<$event> {
                Some(event.event.clone())
            }
        }
    };
}

tells!(Orders, "tell-orders", "shop.orders", order::OrderEvent);
tells!(Asks, "tell-asks", "shop.asks", asks::AskEvent);
tells!(StockMoves, "tell-stock", "shop.stock", inventory::StockEvent);
tells!(Payments, "tell-payments", "shop.payments", payment::PaymentEvent);
tells!(Parcels, "tell-parcels", "shop.parcels", shipping::ParcelEvent);

/// A broker or a database that is away is waited for.
fn patient() -> OnError {
    OnError::retry(u32::MAX, Finally::Stop)
}

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// The URL of its store.
    pub(crate) store: String,
    pub(crate) broker: String,
    /// One of them says what the others do; otherwise each knows for itself.
    pub(crate) orchestrated: bool,
}

/// Runs a service until it is told to end.
pub(crate) async fn run(service: &Service) -> Result {
    let Service { name, store, broker, orchestrated } = service;
    let (store, broker) = (connect(store).await?, Broker::connect(broker).await?);
    let builder = App::builder(store).service(name, "1.0");
    let app = match (name.as_str(), orchestrated) {
        ("order", false) => speaks::<Orders>(builder, &broker, name)
            .on("react", patient(), order::react)
            .projection::<order::Order>(OnError::Stop),
        ("order", true) => speaks::<Orders>(builder, &broker, name)
            .publish::<Asks>(patient(), broker.publisher.clone())
            .process::<Fulfilment>(patient())
            .projection::<order::Order>(OnError::Stop),
        ("inventory", _) => {
            let service = speaks::<StockMoves>(builder, &broker, name);
            reacts(service, *orchestrated, inventory::obey, inventory::react)
                .projection::<inventory::Stock>(OnError::Stop)
        }
        ("payment", _) => {
            let service = speaks::<Payments>(builder, &broker, name);
            reacts(service, *orchestrated, payment::obey, payment::react)
                .projection::<payment::Wallet>(OnError::Stop)
        }
        ("shipping", _) => {
            let service = speaks::<Parcels>(builder, &broker, name);
            reacts(service, *orchestrated, shipping::obey, shipping::react)
                .projection::<shipping::Parcel>(OnError::Stop)
        }
        (other, _) => return Err(format!("no service is called {other:?}").into()),
    };
    let app = app.start().await?;
    let mut hears = app.receiving("shop").ok_or("it was registered above")?;
    hears.wait_for(|now| now.state == ReceiverState::Running).await?;
    println!("ready");
    tokio::signal::ctrl_c().await?;
    app.stop().await;
    Ok(())
}

/// Does what it is asked to, or knows for itself what follows from what it hears.
fn reacts<A: EventSet, E: EventSet>(
    service: AppBuilder,
    orchestrated: bool,
    obey: impl Handle<A>,
    react: impl Handle<E>,
) -> AppBuilder {
    match orchestrated {
        true => service.on("obey", patient(), obey),
        false => service.on("react", patient(), react),
    }
}

/// Tells the others, and hears them.
fn speaks<P: Publication>(builder: AppBuilder, broker: &Broker, name: &str) -> AppBuilder {
    let others = TOPICS.into_iter().filter(|topic| Some(*topic) != P::TOPIC);
    let subscription = Subscription::shared(name, others).from_oldest();
    builder.publish::<P>(patient(), broker.publisher.clone()).receive(
        "shop",
        broker.consumer.clone(),
        subscription,
    )
}

/// The store, which may be away for a while.
pub(crate) async fn connect(url: &str) -> Result<PostgresStore> {
    let mut attempt = 0;
    loop {
        match PostgresStore::connect(url).await {
            Ok(store) => return Ok(store),
            Err(error) if attempt == 100 => return Err(error.into()),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
        }
        attempt += 1;
    }
}
