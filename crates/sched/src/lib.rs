#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod backlog;
pub mod cpu;
pub mod credit;
pub mod device;
pub mod io;
pub mod sync_merge;

mod shares;

pub use shares::Shares;
