//! Facts that the domain moved on from; versions side by side; what is done about the unknown.

use crate::upcasts::stored;
use factum_app::{
    Boundary, DecodePolicy, Envelope, EventSet, OnError, Part, Query, ReadAs, Upcast,
    consumer::{Options, Spec},
    event,
    event::{Decoded, Newer, Unknown, Why, decode},
};

use factum_core::Item;

#[event("cart.opened")]
struct Opened {
    #[tag]
    cart: u32,
}

#[event("cart.item.added", version = 2, since = 2)]
struct ItemAdded {
    #[tag]
    cart: u32,
    article: String,
}

#[event("cart.closed")]
struct Closed {
    #[tag]
    cart: u32,
    by: String,
}

/// Once, a cart was filled in one go.
#[event("cart.filled")]
struct Filled {
    #[tag]
    cart: u32,
    articles: Vec<String>,
}

/// The same name as today, with several articles in one.
#[event("cart.item.added")]
struct ItemsAdded {
    #[tag]
    cart: u32,
    articles: Vec<String>,
}

/// Two that are one today.
#[event("cart.left")]
struct Left {
    #[tag]
    cart: u32,
}
#[event("cart.paid")]
struct Paid {
    #[tag]
    cart: u32,
}

/// What means nothing any more.
#[event("cart.coloured")]
struct Coloured {
    #[tag]
    cart: u32,
}

#[derive(Clone, Debug, PartialEq, EventSet)]
#[history(Filled, ItemsAdded, Left, Paid, Coloured)]
enum Cart {
    Opened(Opened),
    ItemAdded(ItemAdded),
    Closed(Closed),
}

fn added(cart: u32, articles: Vec<String>) -> impl Iterator<Item = Cart> {
    articles.into_iter().map(move |article| ItemAdded { cart, article }.into())
}

impl ReadAs<Cart> for Filled {
    fn read_as(self) -> Vec<Cart> {
        let opened = Opened { cart: self.cart }.into();
        [opened].into_iter().chain(added(self.cart, self.articles)).collect()
    }
}

impl ReadAs<Cart> for ItemsAdded {
    fn read_as(self) -> Vec<Cart> {
        added(self.cart, self.articles).collect()
    }
}

impl ReadAs<Cart> for Left {
    fn read_as(self) -> Vec<Cart> {
        vec![Closed { cart: self.cart, by: "nobody".into() }.into()]
    }
}

impl ReadAs<Cart> for Paid {
    fn read_as(self) -> Vec<Cart> {
        vec![Closed { cart: self.cart, by: "payment".into() }.into()]
    }
}

impl ReadAs<Cart> for Coloured {
    fn read_as(self) -> Vec<Cart> {
        Vec::new()
    }
}

async fn read(event_type: &str, version: Option<u32>, data: &str) -> Vec<Cart> {
    let stored = stored(event_type, version, data).await;
    let mut all = Vec::new();
    Envelope::<Cart>::decode(&stored).unwrap().for_each(|one| all.push(one.event));
    all
}

#[tokio::test]
async fn an_old_fact_is_read_as_what_it_is_today() {
    let opened = Cart::from(Opened { cart: 7 });
    let item = |article: &str| Cart::from(ItemAdded { cart: 7, article: article.into() });
    let closed = |by: &str| Cart::from(Closed { cart: 7, by: by.into() });
    let filled = r#"{"cart":7,"articles":["a","b"]}"#;
    assert_eq!(read("cart.filled", None, filled).await, [opened, item("a"), item("b")]);
    assert_eq!(read("cart.item.added", None, filled).await, [item("a"), item("b")], "by version");
    let new = r#"{"cart":7,"article":"a"}"#;
    assert_eq!(read("cart.item.added", Some(2), new).await, [item("a")]);
    assert_eq!(read("cart.left", None, r#"{"cart":7}"#).await, [closed("nobody")]);
    assert_eq!(read("cart.paid", None, r#"{"cart":7}"#).await, [closed("payment")]);
    assert_eq!(read("cart.coloured", None, r#"{"cart":7}"#).await, []);
}

#[test]
fn what_is_read_is_in_the_boundary_and_what_is_history_is_no_variant() {
    // A second tag keeps it from being the stream.
    let tags = [("cart", "7".to_owned()), ("cart", "8".to_owned())];
    let boundary = Boundary::tagged::<Cart>(&tags).unwrap();
    let Part::Query(Query::AnyOf(items)) = &boundary.parts()[0] else { panic!("{boundary:?}") };
    let types: Vec<_> = items[0].types.iter().map(|one| one.as_str()).collect();
    assert!(types.contains(&"cart.filled") && types.contains(&"cart.opened"), "{types:?}");
    let current = Cart::MEMBERS.current();
    assert_eq!(current.len(), 3);
    assert!(current.iter().all(|info| info.event_type != "cart.filled"));
}

#[event("price.set")]
struct First {
    #[tag]
    article: u32,
}

#[event("price.set", version = 2)]
struct Second {
    #[tag]
    article: u32,
    #[serde(default)]
    note: Option<String>,
}

impl Upcast for Second {
    type Old = First;

    fn upcast(old: First) -> Self {
        Self { article: old.article, note: Some("upcast".into()) }
    }
}

#[event("price.set", version = 4, since = 4)]
struct Fourth {
    #[tag]
    article: u32,
    cents: u64,
}

/// The newest first: the order of the variants does not matter.
#[derive(Clone, Debug, PartialEq, EventSet)]
enum Both {
    Second(Second),
    First(First),
}

#[derive(Clone, Debug, PartialEq, EventSet)]
enum Gap {
    Fourth(Fourth),
    Both(Both),
}

async fn price<S: EventSet>(version: u32, data: &str, newer: Newer) -> Result<S, Why> {
    let stored = stored("price.set", Some(version), data).await;
    match decode(&stored, DecodePolicy { newer, ..DecodePolicy::default() }) {
        Ok(Decoded::One(one)) => Ok(one),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.why),
    }
}

#[tokio::test]
async fn versions_side_by_side_take_their_own() {
    let (one, refuse) = (r#"{"article":1}"#, Newer::Refuse);
    let first = Both::First(First { article: 1 });
    let second = Both::Second(Second { article: 1, note: None });
    assert_eq!(price(1, one, refuse).await, Ok(first.clone()));
    assert_eq!(price(2, one, refuse).await, Ok(second.clone()));
    assert_eq!(price::<Both>(3, one, refuse).await, Err(Why::Newer { known: 2 }));
    // In a set of sets too; and what no member has as its own goes to the next above it.
    assert_eq!(price(1, one, refuse).await, Ok(Gap::Both(first)));
    assert_eq!(price(2, one, refuse).await, Ok(Gap::Both(second)));
    assert_eq!(price::<Gap>(3, one, refuse).await, Err(Why::Older { known: 4 }));
    assert_eq!(price::<Gap>(5, one, refuse).await, Err(Why::Newer { known: 4 }));
    // A set of one reads the older through its upcast.
    let upcast = Second { article: 1, note: Some("upcast".into()) };
    assert_eq!(price(1, one, refuse).await, Ok(upcast));
}

#[tokio::test]
async fn newer_versions_are_refused_or_read_as_far_as_they_are_known() {
    let newer = r#"{"article":1,"colour":"red"}"#;
    let known = Second { article: 1, note: None };
    assert_eq!(price::<Second>(3, newer, Newer::Refuse).await, Err(Why::Newer { known: 2 }));
    assert_eq!(price(3, newer, Newer::Tolerate).await, Ok(known.clone()));
    assert_eq!(price(3, newer, Newer::Tolerate).await, Ok(Both::Second(known)));
    let unfit = price::<Second>(3, r#"{"artikel":1}"#, Newer::Tolerate).await;
    assert_eq!(unfit, Err(Why::Newer { known: 2 }), "what does not fit is no guess");
    let first = First { article: 1 };
    assert_eq!(price(3, newer, Newer::Tolerate).await, Ok(first), "a first struct too");
}

#[tokio::test]
async fn unknown_types_are_skipped_or_refused() {
    let refuse = DecodePolicy { unknown: Unknown::Refuse, ..DecodePolicy::default() };
    let other = stored("price.asked", None, "{}").await;
    assert_eq!(decode::<Both>(&other, DecodePolicy::default()), Ok(Decoded::Skip));
    let error = decode::<Both>(&other, refuse).unwrap_err();
    assert_eq!(error.why, Why::Unknown);
    let message = error.to_string();
    assert!(message.contains("price.asked") && message.contains("position 1"), "{message}");
    let system = stored("$marked", None, "{}").await;
    assert_eq!(decode::<Both>(&system, refuse), Ok(Decoded::Skip), "the store's own");
}

#[test]
fn a_consumer_that_refuses_unknown_types_is_given_every_type() {
    let refuse = DecodePolicy { unknown: Unknown::Refuse, ..DecodePolicy::default() };
    let of = |options: Options| Spec::of::<Both>("audit", 1, &options).unwrap();
    let all = of(Options::from(OnError::Stop).decode(refuse));
    assert_eq!((all.query, all.decode), (Query::All, refuse));
    let prices = of(Options::from(OnError::Stop).category("price").decode(refuse)).query;
    assert_eq!(prices, Item { categories: vec!["price".into()], ..Item::default() }.into());
    let usual = of(OnError::Stop.into()).query;
    assert!(matches!(&usual, Query::AnyOf(items) if !items[0].types.is_empty()), "{usual:?}");
}
