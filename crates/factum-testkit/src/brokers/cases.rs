//! The cases of brokers, a module an area. Each says in its name what a broker does.

#![allow(clippy::indexing_slicing, reason = "a case is a test: a panic is its failure")]

pub(super) mod close;
pub(super) mod content;
pub(super) mod dead;
pub(super) mod flow;
pub(super) mod foreign;
pub(super) mod groups;
pub(super) mod order;
pub(super) mod outage;
pub(super) mod publish;
pub(super) mod settle;

/// The words that cases are written in.
mod kit {
    pub(super) use crate::{
        Failure, Outcome,
        brokers::{
            Raw,
            feed::{Feed, ack_all, labels_of, message_of},
            trial::{Trial, label, labels},
        },
        same,
        wait::poll_once,
        within,
    };
    pub(super) use factum_app::message::{
        Message, Outgoing, PublishError, STRUCTURED, SettleError, Subscription,
    };
    pub(super) use std::{collections::BTreeMap, time::Duration};

    /// That something holds, or what is wrong.
    #[track_caller]
    pub(super) fn hold(holds: bool, else_what: impl FnOnce() -> String) -> Outcome {
        if holds { Ok(()) } else { Err(Failure::new(else_what())) }
    }

    /// Labels by their keys, in the order in which they came.
    pub(super) fn by_key(labels: &[String]) -> BTreeMap<String, Vec<u64>> {
        let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (key, number) in labels.iter().filter_map(|label| label.rsplit_once('-')) {
            let numbers = keys.entry(key.to_owned()).or_default();
            numbers.extend(number.parse::<u64>().ok());
        }
        keys
    }

    /// Sorted, so that only the set counts.
    pub(super) fn sorted(mut labels: Vec<String>) -> Vec<String> {
        labels.sort();
        labels
    }
}
