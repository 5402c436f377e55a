//! Version 3 follows version 1: facts of version 2 could not be read.

use factum_app::{Upcast, event};

#[event("order.placed")]
struct PlacedV1 {
    #[tag]
    order: u32,
}

#[event("order.placed", version = 3)]
struct Placed {
    #[tag]
    order: u32,
}

impl Upcast for Placed {
    type Old = PlacedV1;

    fn upcast(old: PlacedV1) -> Self {
        Self { order: old.order }
    }
}

fn main() {}
