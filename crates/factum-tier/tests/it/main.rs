//! Segments in an S3 bucket, against an emulator that the tests start themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a test looks at the folder itself")]

mod emulator;
mod objects;
mod segments;
