#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
pub mod rules;

pub use error::PassError;
