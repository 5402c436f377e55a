//! The version before has another name: facts of the old name would never be found.

use factum_app::{Upcast, event};

#[event("order.made")]
struct Made {
    #[tag]
    order: u32,
}

#[event("order.placed", version = 2)]
struct Placed {
    #[tag]
    order: u32,
}

impl Upcast for Placed {
    type Old = Made;

    fn upcast(old: Made) -> Self {
        Self { order: old.order }
    }
}

fn main() {}
