//! CQRS without event sourcing: the truth is a table of yours, here a map. Each change is told with
//! the whole row (event-carried state transfer), and a view is kept in step with it.

use factum::AnyStore;
use factum::app::prelude::*;
use std::collections::BTreeMap;

/// The row as it is now; the newest says everything.
#[event("article.changed")]
struct ArticleChanged {
    article: String,
    name: String,
    cents: u64,
}

#[data]
struct PriceTag {
    text: String,
}

impl Projection for PriceTag {
    const NAME: &str = "alone-price-tags";
    type Event = ArticleChanged;

    fn apply(row: &mut Row<Self>, event: &Envelope<ArticleChanged>) {
        let ArticleChanged { name, cents, .. } = &event.event;
        row.set(Self { text: format!("{name}: {}.{:02}", cents / 100, cents % 100) });
    }
}

pub(crate) async fn run(store: &AnyStore, run: &str) -> Result {
    let app = App::builder(store.clone()).projection::<PriceTag>(OnError::Stop).start().await?;
    let mut table: BTreeMap<String, (String, u64)> = BTreeMap::new();
    let article = format!("lamp.{run}");
    let mut told = None;
    for cents in [1_200, 1_350] {
        // In a database, both in one transaction: `SqliteStore::append_with`.
        table.insert(article.clone(), ("Lamp".to_owned(), cents));
        let (name, article) = ("Lamp".to_owned(), article.clone());
        told = Some(app.record(ArticleChanged { article, name, cents }).await?);
    }
    let told = told.ok_or("two changes were told")?;
    let tag = app.view::<PriceTag>().at_least(&told).get(&article).await?.unwrap_or_default();
    println!("CQRS alone: the table has {:?}, the view {:?}", table.get(&article), tag.text);
    assert_eq!(tag.text, "Lamp: 13.50");
    Ok(())
}
