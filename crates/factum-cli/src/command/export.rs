//! `factum export`: events to standard output, in the order of the store.

use super::read::{Filter, run};
use crate::{
    args::{self, ExportFormat, Selection},
    console::Out,
    failure::Outcome,
    print::Printer,
};
use factum::{AnyStore, AsOf, Freshness, Read};

/// Writes what is selected; without a selection everything but the store's own events.
pub(super) async fn export(store: &AnyStore, args: &args::Export, out: &mut Out) -> Outcome {
    let everything = Selection { all: true, ..Selection::default() };
    let selected = args.selection.selected().or_else(|_| everything.selected())?;
    let as_of = args.as_of.map_or(AsOf::Now, |args::AsOfArg(as_of)| as_of);
    let freshness = Freshness::Current;
    let read = Read { as_of, freshness, ..Read::select(selected.select) };
    let filter = Filter { query: selected.filter, left: u64::MAX, system: args.system };
    let mut printer = match args.format {
        ExportFormat::Jsonl => Printer::Json,
        ExportFormat::Cloudevents => Printer::CloudEvents { source: args.source.clone() },
    };
    run(store, read, filter, (&mut printer, out)).await
}
