//! Nothing says what is read once the field is erased.

use factum_app::event;

#[event("customer.registered")]
struct Registered {
    #[tag]
    customer: u32,
    #[personal]
    name: String,
}

fn main() {}
