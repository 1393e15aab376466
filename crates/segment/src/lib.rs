#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ahead;
mod aborted;
mod cursors;
mod error;
mod finish;
mod flush;
mod headers;
mod image;
mod layout;
mod limits;
mod locate;
mod log;
mod options;
mod read;
mod reader;
mod recover;
mod roll;
mod scan;
mod segment;
mod tail;
mod truncate;
mod views;
mod walk;
mod write;

pub use index::{AbortedIndex, AbortedTransaction};

pub use error::{AbortedError, AppendError, Corrupt, Flaw, OpenError, ReadError, WriteError};
pub use layout::{DELETE, STRAY, is_doomed_dir, set_aside_dir};
pub use log::Log;
pub use options::LogOptions;
pub use truncate::remove_dir;
pub use views::{
    Appended, Cut, Damage, Ends, Found, Known, KnownTail, Opened, Read, Seen, SegmentView, Stamp,
};
