//! The whole broker (shards, journal, segments, metadata), its disk and its clients in one thread,
//! from one seed: the code that ships, on `env::sim`.
//!
//! A [`scenario`] runs clients against a broker, cuts the power or injects faults, recovers, and holds what
//! the [`history`] says was acknowledged or seen against what is there.

#![expect(clippy::print_stdout, reason = "a failing run must be explained by what it printed")]

pub mod broken;
pub mod client;
pub mod history;
pub mod load;
pub mod plan;
pub mod random;
pub mod recovered;
pub mod scenario;
