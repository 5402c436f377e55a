//! The `factum` command: a store in one command, and facts in and out of any store.
//!
//! Everything but `dev` and `serve` works over `factum::AnyStore` and nothing else: which store that
//! is, `--at URL` says.

mod console;
mod failure;
mod identity;
mod input;
mod json;
mod template;
mod time;
fn main() {}
