//! The reliability programme at the size of a release: runs that go on where the last one stopped.

pub(crate) mod block;
