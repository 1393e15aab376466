//! The project's own commands as a library: what `cargo xtask VERB` does.
//!
//! It drives cargo, the test packages and the built binary as processes. It holds no product code,
//! and nothing of the product depends on it.

pub mod ci;
pub mod conformance;
pub mod crash;
pub mod out;
pub mod perf;
pub mod tidy;
