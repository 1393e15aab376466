#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admission;
mod append;
mod calls;
mod charge;
mod connection;
mod controller;
pub mod directory;
mod dispatch;
mod error_code;
mod failed;
pub mod fetch_session;
mod handlers;
mod incoming;
pub mod message;
mod metadata_log;
mod names;
mod options;
mod outgoing;
mod own;
mod read;
mod removal;
mod shard;
mod start;
mod stop;
mod table;
mod tally;
mod topic;

pub use message::ShardMessage;
pub use options::{Limits, Options};
pub use shard::{Shard, World};
pub use start::{StartError, start};
pub use tally::{LATENCY_BOUNDS_US, Latency, Reading, Requests};
