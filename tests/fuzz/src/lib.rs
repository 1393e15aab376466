//! Fuzz targets: bytes from outside, read by the crates that read them in the broker.

pub mod targets;
