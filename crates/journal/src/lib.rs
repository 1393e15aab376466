#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod file;
mod frame;
mod history;
mod holdings;
mod item;
mod journal;
mod layout;
mod limits;
mod options;
mod prepare;
mod release;
mod replay;
mod rescue;
mod scan;

pub mod checkpoint;
pub mod plan;

pub use error::{JournalError, OpenError, ReleaseError, ReplayError};
pub use history::{PartitionReplay, Piece};
pub use holdings::Settled;
pub use item::Item;
pub use journal::Journal;
pub use layout::Mark;
pub use limits::{BATCHES_BYTES_MAX, FRAME_BYTES_MAX};
pub use options::{JournalOptions, Metrics, Place, Pressure};
pub use replay::{Damage, OldFile, OldFiles, Replay, RunStart, replay};
