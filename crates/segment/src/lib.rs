//! The segment store of one log: recover, append, read, roll, truncate, retain.
#![forbid(unsafe_code)]

mod error;
mod log;
mod options;
mod views;

pub use error::{AppendError, Corrupt, Flaw, OpenError, ReadError, WriteError};
pub use log::Log;
pub use options::LogOptions;
pub use views::{
    Appended, Cut, Damage, Ends, Found, Known, KnownTail, Opened, Read, SegmentView, Stamp,
};
