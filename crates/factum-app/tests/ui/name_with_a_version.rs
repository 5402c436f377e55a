//! The version is no part of the name.

use factum_app::event;

#[event("order.placed.v2")]
struct Placed {
    #[tag]
    order: u32,
}

fn main() {}
