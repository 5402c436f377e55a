//! The fuzz target `call`: its body is in the library.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| factum_fuzz::call(data));

#[cfg(not(fuzzing))]
fn main() {}
