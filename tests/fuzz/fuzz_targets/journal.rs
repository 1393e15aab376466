//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz journal`; the target is in `src/targets/journal.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evenkeel_fuzz::targets::journal(data));
