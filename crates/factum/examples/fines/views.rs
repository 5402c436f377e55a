//! What is outstanding, by the month of the offence.

use crate::fine::FineEvent;
use factum::app::prelude::*;

#[data]
pub(crate) struct Outstanding {
    pub(crate) fines: u32,
    pub(crate) cents: i64,
}

impl Projection for Outstanding {
    const NAME: &str = "fines-outstanding";
    const KEY: Key = Key::Computed;
    type Event = FineEvent;

    fn keys(event: &Envelope<FineEvent>) -> Vec<String> {
        let month = match &event.event {
            FineEvent::FineCreated(one) => &one.month,
            FineEvent::FineCharged(one) => &one.month,
            FineEvent::FinePaid(one) => &one.month,
            _ => return Vec::new(),
        };
        vec![month.clone()]
    }

    fn apply(row: &mut Row<Self>, event: &Envelope<FineEvent>) {
        match &event.event {
            FineEvent::FineCreated(one) => row.upsert(|row| {
                row.fines += 1;
                row.cents += one.cents;
            }),
            FineEvent::FineCharged(one) => row.upsert(|row| row.cents += one.cents),
            FineEvent::FinePaid(one) => row.upsert(|row| row.cents -= one.cents),
            _ => {}
        }
    }
}
