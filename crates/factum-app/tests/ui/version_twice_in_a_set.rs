//! The second variant would never be reached.

use factum_app::{EventSet, event};

#[event("order.placed")]
struct Placed {
    #[tag]
    order: u32,
}

#[event("order.placed")]
struct Submitted {
    #[tag]
    order: u32,
}

#[derive(Clone, Debug, EventSet)]
enum OrderEvent {
    Placed(Placed),
    Submitted(Submitted),
}

fn main() {}
