#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod aborted_index;
mod building;
mod error;
pub mod keys;
mod offset_index;
mod search;
mod time_index;

pub use aborted_index::{AbortedIndex, AbortedTransaction};
pub use building::Building;
pub use error::{IndexError, SearchError};
pub use offset_index::{OffsetEntry, OffsetIndex};
pub use search::{Hit, Run, last_before};
pub use time_index::{TimeEntry, TimeIndex};
