//! Nothing says how a fact of version 1 becomes one of version 2.

use factum_app::event;

#[event("order.placed", version = 2)]
struct Placed {
    #[tag]
    order: u32,
}

fn main() {}
