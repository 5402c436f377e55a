//! The fuzz target `header`: its body is in the library.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| factum_fuzz::header(data));

#[cfg(not(fuzzing))]
fn main() {}
