//! What each service knows and decides. None of them knows another: they share names of events.
//!
//! No decision asks whether it was made before: that a message counts once, however often it comes,
//! is the framework's promise (`Delivery::execute`), and the audit in the end would see it broken.

pub(crate) mod asks;
pub(crate) mod fulfilment;
pub(crate) mod inventory;
pub(crate) mod order;
pub(crate) mod payment;
pub(crate) mod shipping;
