//! A struct that is no event.

use factum_app::{EventSet, event};

#[event("order.placed")]
struct Placed {
    #[tag]
    order: u32,
}

#[derive(Clone, Debug)]
struct Cancelled;

#[derive(Clone, Debug, EventSet)]
enum OrderEvent {
    Placed(Placed),
    Cancelled(Cancelled),
}

fn main() {}
