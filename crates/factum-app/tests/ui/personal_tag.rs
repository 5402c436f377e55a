//! A tag is stored as it is.

use factum_app::event;

#[event("customer.registered")]
struct Registered {
    #[tag]
    #[personal]
    email: Option<String>,
}

fn main() {}
