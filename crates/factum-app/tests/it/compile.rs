//! What must not compile, with the messages as a user reads them.
//!
//! Cases that fail alone make it a `cargo check` (one that had to pass would make it a build), so
//! that what is seen here an editor shows too: nothing waits for a constant to be used.
//!
//! After a wanted change: `TRYBUILD=overwrite cargo test -p factum-app compile`, and read them.

#[test]
fn what_is_wrong_does_not_compile_and_says_why() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
