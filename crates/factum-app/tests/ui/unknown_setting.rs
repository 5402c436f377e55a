//! A setting that does not exist; the event is one all the same, so that this is the only error.

use factum_app::{EventSet, event};

#[event("order.placed", ver = 2)]
struct Placed {
    #[tag]
    order: u32,
}

#[derive(Clone, Debug, EventSet)]
enum OrderEvent {
    Placed(Placed),
}

fn main() {}
