//! Nothing says what the old fact is today.

use factum_app::{EventSet, event};

#[event("order.placed")]
struct Placed {
    #[tag]
    order: u32,
}

#[event("order.submitted")]
struct Submitted {
    #[tag]
    order: u32,
}

#[derive(Clone, Debug, EventSet)]
#[history(Submitted)]
enum OrderEvent {
    Placed(Placed),
}

fn main() {}
