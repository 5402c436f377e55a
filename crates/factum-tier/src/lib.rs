//! Sealed segments of a Factum log in object storage, over S3's API.
//!
//! Apart from the engine because it brings a client of HTTP, TLS and a runtime, and the engine
//! knows none of these: [`ObjectTier`] is the engine's
//! [`ColdStore`](factum_log::tier::ColdStore), and [`TierDisk`](factum_log::tier::TierDisk) does
//! the rest.
//!
//! ```no_run
//! use factum_log::{LogStore, Options, World, tier::{TierDisk, TierOptions}};
//! use factum_tier::ObjectTier;
//! use std::{path::Path, sync::Arc};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = ObjectTier::open("s3://bucket/prefix?region=eu-central-1")?;
//! let tier = TierDisk::new(World::default().disk, Arc::new(storage), TierOptions::default());
//! let world = World { disk: Arc::new(tier.clone()), ..World::default() };
//! let store = LogStore::open(Path::new("data"), Options { world, ..Options::default() })?;
//! # Ok(()) }
//! ```
//!
//! Credentials come from the environment, as S3's own tools read them (`AWS_ACCESS_KEY_ID` and so
//! on), or from the machine that this runs on; a URL never has any.

mod address;
mod object;

pub use address::AddressError;
pub use object::{Credentials, ObjectTier, TierError};
