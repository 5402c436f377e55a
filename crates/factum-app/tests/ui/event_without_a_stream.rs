//! An event of which nothing says to which stream it goes.

use factum_app::event;

#[event("order.placed")]
struct OrderPlaced {
    total: u32,
}

fn main() {}
