//! `#[projection]` is for a state.

use factum_app::projection;

#[projection("order-summary")]
struct Order {
    total: u32,
}

fn main() {}
