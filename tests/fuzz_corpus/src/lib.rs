//! The fuzz targets of tests/fuzz on the stable compiler.
//!
//! Owns a small mutator without feedback: it repeats what a fuzzer found and keeps the targets compiling and
//! honest in every CI run. It does not replace `cargo +nightly fuzz run`.

mod mutate;
#[path = "../../fuzz/src/targets/mod.rs"]
pub mod targets;

pub use mutate::{Target, corpus, corpus_directory, mutate, run_mutations};
