//! `cargo xtask proto`: makes the code of `factum-proto` anew from its `.proto` files.
//!
//! Apart because the compiler of protobuf lives in a workspace of its own (`xtask/protogen`), so
//! that no other command waits for it. The code is checked in; run this after a change of a
//! protocol, and commit what it wrote.

use std::{error::Error, path::Path, process::Command};

/// Writes `crates/factum-proto/src/generated` from `crates/factum-proto/proto`.
///
/// # Errors
///
/// If the generator cannot be built, or a `.proto` file is wrong: it has printed why.
pub(crate) fn generate() -> Result<(), Box<dyn Error>> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent folder")?;
    let proto = root.join("crates/factum-proto");
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root.join("xtask/protogen/Cargo.toml"))
        .arg("--")
        .args([proto.join("proto"), proto.join("src/generated")])
        .status()?;
    if status.success() { Ok(()) } else { Err("the generator failed, as it says above".into()) }
}
