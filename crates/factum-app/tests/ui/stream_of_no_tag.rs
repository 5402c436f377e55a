//! The stream is named after a key that no field has.

use factum_app::event;

#[event("order.placed", stream = "order-{number}")]
struct Placed {
    #[tag]
    order: u32,
}

fn main() {}
