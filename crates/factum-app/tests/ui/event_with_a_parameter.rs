//! The shape of an event is pinned, so it has no parameters.

use factum_app::event;

#[event("order.placed")]
struct Placed<T> {
    #[tag]
    order: T,
}

fn main() {}
