//! Rust client of a Factum server, and of a KurrentDB
