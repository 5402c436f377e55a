//! Turns the `.proto` files of `factum-proto` into the Rust code that is checked in beside them.
//!
//! Apart from the other commands because a compiler of protobuf is a heavy dependency that nobody
//! needs who does not change a protocol. Run by `cargo xtask proto`, with the folder of the
//! `.proto` files and the folder to write to.

use std::{error::Error, path::PathBuf};

/// Every file that is compiled, by its path under the folder of the `.proto` files.
const FILES: [&str; 11] = [
    "event_store/gossip.proto",
    "event_store/monitoring.proto",
    "event_store/operations.proto",
    "event_store/server_features.proto",
    "event_store/streams.proto",
    "factum/v1/copies.proto",
    "factum/v1/operations.proto",
    "factum/v1/store.proto",
    "google/rpc/status.proto",
    "grpc/health/v1/health.proto",
    "umadb/v1/dcb.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: protogen PROTO_DIR OUT_DIR".into());
    };
    let descriptors = protox::compile(FILES, [from])?;
    std::fs::create_dir_all(&to)?;
    let mut messages = tonic_prost_build::Config::new();
    messages.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .bytes(".")
        .btree_map(".")
        .out_dir(to)
        .compile_fds_with_config(descriptors, messages)?;
    Ok(())
}
