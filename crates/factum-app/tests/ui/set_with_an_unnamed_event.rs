//! An event that is written in a set, without its name.

use factum_app::events;

#[events]
enum OrderEvent {
    OrderPlaced { order: u32 },
}

fn main() {}
