//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz record`; the target is in `src/targets/record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evenkeel_fuzz::targets::record(data));
