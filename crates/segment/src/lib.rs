#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod aborted;
mod ahead;
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
mod replace;
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
pub use layout::{
    DELETE, Kind as SegmentFile, STRAY, is_doomed_dir, is_part, part_path, path as segment_path,
    set_aside_dir,
};
pub use log::Log;
pub use options::LogOptions;
pub use replace::{ReplaceError, Replacement, Structure};
pub use truncate::remove_dir;
pub use views::{
    Appended, Cut, Damage, Ends, Found, Known, KnownTail, Opened, Read, Seen, SegmentView, Stamp,
};
