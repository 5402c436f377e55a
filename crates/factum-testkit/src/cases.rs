//! The cases: one behaviour each, a module for each area. The list is in [`crate::suite`].

#![allow(clippy::indexing_slicing, reason = "a case is a test: a panic is its failure")]

mod kit;

pub(crate) mod appends;
pub(crate) mod as_of;
pub(crate) mod bad_input;
pub(crate) mod conditions;
pub(crate) mod deletes;
pub(crate) mod durability;
pub(crate) mod limits;
pub(crate) mod metadata;
pub(crate) mod pitfalls_of_appends;
pub(crate) mod pitfalls_of_reads;
pub(crate) mod queries;
pub(crate) mod query_checks;
pub(crate) mod reads;
pub(crate) mod receipts;
pub(crate) mod replay;
pub(crate) mod subscriptions;
pub(crate) mod time;
pub(crate) mod tracking;

mod history;
