//! A variant holds one event.

use factum_app::{EventSet, event};

#[event("order.placed")]
struct Placed {
    #[tag]
    order: u32,
}

#[derive(Clone, Debug, EventSet)]
enum OrderEvent {
    Placed(Placed, u64),
}

fn main() {}
