//! Whether it all adds up: each order shipped and paid once, or cancelled, with its money given
//! back and its stock released; and nothing made or lost.

use crate::{
    service::connect,
    services::{
        inventory::Stock,
        order::{Order, Status},
        payment::Wallet,
        shipping::Parcel,
    },
    world::World,
};
use factum::app::{AnyStore, prelude::*};
use std::collections::BTreeMap;

/// What the shop began with.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) orders: Vec<String>,
    /// Pieces of each article.
    pub(crate) stock: BTreeMap<String, u32>,
    /// Cents of each customer.
    pub(crate) money: BTreeMap<String, u64>,
}

/// What became of the orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) completed: u32,
    pub(crate) out_of_stock: u32,
    pub(crate) declined: u32,
    pub(crate) lost: u32,
}

/// The four stores, seen from outside.
pub(crate) struct Stores {
    pub(crate) order: App,
    inventory: App,
    payment: App,
    shipping: App,
    pub(crate) all: Vec<AnyStore>,
}

impl Stores {
    pub(crate) async fn open(world: &World) -> Result<Self> {
        let mut all = Vec::new();
        for number in 0..4 {
            all.push(AnyStore::new(connect(world.url(number)?).await?));
        }
        let app = |number: usize| -> Result<App> {
            Ok(App::new(all.get(number).ok_or("a store for each service")?.clone()))
        };
        let (order, inventory, payment, shipping) = (app(0)?, app(1)?, app(2)?, app(3)?);
        Ok(Self { order, inventory, payment, shipping, all })
    }

    /// What became of every order; the error says what does not add up, or not yet.
    pub(crate) async fn audit(&self, given: &Given) -> Result<Outcome> {
        let (mut stock, mut wallets) = (BTreeMap::new(), BTreeMap::new());
        for article in given.stock.keys() {
            stock.insert(article.clone(), self.inventory.state::<Stock>(article).await?);
        }
        for customer in given.money.keys() {
            wallets.insert(customer.clone(), self.payment.state::<Wallet>(customer).await?);
        }
        let reserved: BTreeMap<_, _> =
            stock.values().flat_map(|one| one.reserved.clone()).collect();
        let paid: BTreeMap<_, _> = wallets.values().flat_map(|one| one.taken.clone()).collect();
        let mut outcome = Outcome::default();
        for id in &given.orders {
            let order = self.order.state::<Order>(id).await?;
            let parcel = self.shipping.state::<Parcel>(id).await?;
            let found = Found { reserved: reserved.get(id), paid: paid.get(id), parcel: &parcel };
            found.check(id, &order, &mut outcome)?;
        }
        for (article, had) in &given.stock {
            let one = stock.get(article).ok_or("an article is gone")?;
            let sold: u32 = one.reserved.values().sum();
            equal(&format!("pieces of {article}"), *had, one.free() + sold)?;
        }
        for (customer, had) in &given.money {
            let wallet = wallets.get(customer).ok_or("a wallet is gone")?;
            let spent: u64 = wallet.taken.values().sum();
            equal(&format!("cents of {customer}"), *had, wallet.cents + spent)?;
        }
        Ok(outcome)
    }
}

/// What the other services know of an order.
struct Found<'a> {
    reserved: Option<&'a u32>,
    paid: Option<&'a u64>,
    parcel: &'a Parcel,
}

impl Found<'_> {
    fn check(&self, id: &str, order: &Order, outcome: &mut Outcome) -> Result {
        let Parcel { shipped, failed } = *self.parcel;
        match (order.status, order.reason.as_str()) {
            (Status::Completed, _) => {
                equal(&format!("{id}: parcels"), (1, 0), (shipped, failed))?;
                equal(&format!("{id}: pieces"), Some(&order.count), self.reserved)?;
                equal(&format!("{id}: cents"), Some(&order.cents), self.paid)?;
                outcome.completed += 1;
                return Ok(());
            }
            (Status::Cancelled, "not in stock") => outcome.out_of_stock += 1,
            (Status::Cancelled, "payment declined") => outcome.declined += 1,
            (Status::Cancelled, _) => outcome.lost += 1,
            (status, _) => return Err(format!("{id} is {status:?}").into()),
        }
        equal(&format!("{id}: parcels"), 0, shipped)?;
        equal(&format!("{id}: pieces kept"), None, self.reserved)?;
        equal(&format!("{id}: cents kept"), None, self.paid)
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, wanted: T, found: T) -> Result {
    match wanted == found {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}, where it must be {wanted:?}").into()),
    }
}
