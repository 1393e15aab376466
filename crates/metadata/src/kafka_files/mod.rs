//! The small text files of a Kafka data directory, as text: encode and decode, nothing else.
//!
//! Reading is bounded by the bytes given (at most [`FILE_BYTES_MAX`]) and tells the line of what is
//! wrong. Kafka writes each of them to a temporary name, flushes it and renames it; that is the
//! business of whoever owns the directory.

mod checkpoint;
mod clean_shutdown;
mod meta_properties;
mod partition_metadata;
mod properties;

pub use checkpoint::{
    EpochStart, OffsetCheckpoint, decode_leader_epochs, decode_offsets, encode_leader_epochs,
    encode_offsets,
};
pub use clean_shutdown::{CleanShutdown, decode_clean_shutdown, encode_clean_shutdown};
pub use meta_properties::{MetaProperties, decode_meta_properties, encode_meta_properties};
pub use partition_metadata::{decode_partition_metadata, encode_partition_metadata};

/// Identity of a directory; in its root, in every log directory.
pub const META_PROPERTIES: &str = "meta.properties";
/// Below this offset each log is known to be flushed.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// The high watermark of each log.
pub const REPLICATION_CHECKPOINT: &str = "replication-offset-checkpoint";
/// The first offset of each log, where it is above the first segment's.
pub const LOG_START_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// The first offset of each compacted log that the cleaner has not seen.
pub const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";
/// Written at a clean stop, removed at the next start.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// The epochs of one log; in the log's own directory.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// The topic id of one log; in the log's own directory.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// The largest file that is read: far above a million partitions.
pub const FILE_BYTES_MAX: usize = 256 << 20;

/// Why a file's content is not what its name says. Nothing of it may be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("{len} bytes are more than such a file can hold")]
    TooLarge {
        /// Its length.
        len: usize,
    },
    /// It is not text.
    #[error("line {line} is not text")]
    NotText {
        /// The line, from 1.
        line: usize,
    },
    /// It ends too early.
    #[error("the file ends before line {line}")]
    Ends {
        /// The line that is missing, from 1.
        line: usize,
    },
    /// It is of another version.
    #[error("line {line}: version {found} is not known")]
    Version {
        /// The line, from 1.
        line: usize,
        /// The version.
        found: String,
    },
    /// A line is not of the form that it must have.
    #[error("line {line}: {what}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A key that must be there is not.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
}

/// The text of a file, checked for size and encoding.
fn text(bytes: &[u8]) -> Result<&str, FileError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { len: bytes.len() });
    }
    str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let newlines = before.split(|byte| *byte == b'\n').count();
        FileError::NotText { line: newlines }
    })
}

#[cfg(test)]
mod tests;
