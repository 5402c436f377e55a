//! Projections: which rows the facts come to.

use super::{facts::Given, show};
use factum_app::Projection;
use factum_core::AsOf;
use std::{collections::BTreeMap, fmt::Debug};

/// The rows of a projection after the facts.
#[derive(Debug)]
pub struct Rows<P> {
    given: Given,
    rows: BTreeMap<String, P>,
}

impl<P: Projection> Rows<P> {
    #[track_caller]
    pub(super) fn new(given: Given) -> Self {
        let stage = given.stage();
        let rows = match stage.world.run(stage.app.view_as_of::<P>(AsOf::Now)) {
            Ok(past) => past.rows().map(|(key, row)| (key.to_owned(), row.clone())).collect(),
            Err(error) => panic!("{}the projection {} fails: {error}", head(&given), P::NAME),
        };
        Self { given, rows }
    }

    /// Then these are its rows, and no others, whatever their order. Goes on with the same facts.
    ///
    /// # Panics
    ///
    /// They are others; the text shows where they differ.
    #[track_caller]
    pub fn then_rows<K: ToString>(self, rows: impl IntoIterator<Item = (K, P)>) -> Given
    where
        P: Debug + PartialEq,
    {
        let rows = rows.into_iter().map(|(key, row)| (key.to_string(), row));
        let want: BTreeMap<String, P> = rows.collect();
        if self.rows != want {
            let shown = crate::difference::of(&self.rows, &want);
            panic!("{}other rows than expected (- expected, + got)\n{shown}", head(&self.given));
        }
        self.given
    }

    /// Then one of its rows is this.
    ///
    /// # Panics
    ///
    /// It is another, or there is none.
    #[track_caller]
    pub fn then_row(self, key: impl ToString, row: P) -> Given
    where
        P: Debug + PartialEq,
    {
        let (key, head) = (key.to_string(), head(&self.given));
        let Some(got) = self.rows.get(&key) else {
            let keys: Vec<&str> = self.rows.keys().map(String::as_str).collect();
            panic!("{head}there is no row {key:?}; there are {keys:?}");
        };
        if *got != row {
            let shown = crate::difference::of(got, &row);
            panic!("{head}row {key:?} is not as expected (- expected, + got)\n{shown}");
        }
        self.given
    }
}

fn head(given: &Given) -> String {
    format!("{}then ", show::given(&given.facts))
}
