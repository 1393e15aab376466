//! `cargo +nightly fuzz run record`; the target is in `src/targets/record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evenkeel_fuzz::targets::record(data));
