//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz index`; the target is in `src/targets/index.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evenkeel_fuzz::targets::index(data));
