//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz wire`; the target is in `src/targets/wire.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evenkeel_fuzz::targets::wire(data));
