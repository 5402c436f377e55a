//! The in-memory store passes every case.

use factum_testkit::MemoryHarness;

factum_testkit::conformance!(MemoryHarness::new(), run = factum_testkit::block_on);
