//! How each operation fails, and what is left then.

use std::path::PathBuf;

use buf::OverBudget;
use env::IoFailure;
use record::TopicPartition;

/// A commit that was not made. The items may be replayed after a crash or not, except where a variant says
/// that nothing was written; committing them again is harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The device has no room for a file. It passes: a later commit may succeed.
    #[error("no room for the journal: {0}")]
    Full(IoFailure),
    /// Every file that the journal may have holds items that are not settled: the caller must
    /// checkpoint and [`release`](crate::Journal::release). Of the items that did not fit nothing was written.
    #[error("all {files} journal files hold items that are not settled")]
    Behind {
        /// Files in use.
        files: usize,
    },
    /// The memory for a frame is still lent to operations under way. It passes; nothing was written.
    #[error("journal frame: {0}")]
    Memory(#[from] OverBudget),
    /// One batch is longer than a frame may be. Nothing was written; it must go to its segment.
    #[error("a batch of {partition} with {bytes} bytes does not fit in a journal frame")]
    TooLarge {
        /// Whose batch it is.
        partition: TopicPartition,
        /// Its length.
        bytes: usize,
    },
    /// Batches that need several frames could not be told apart. Nothing was written.
    #[error("the parts for {partition} are not whole batches")]
    NotBatches {
        /// Whose batches they were to be.
        partition: TopicPartition,
    },
    /// A write or flush failed, and so did rewriting to a fresh file: the journal takes nothing
    /// until the broker restarts.
    #[error("the journal failed: {0}")]
    Failed(IoFailure),
    /// The journal was closed. Nothing was written.
    #[error("the journal is closed")]
    Closed,
}

/// The journal could not be opened. Nothing that existed was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The first file could not be created, for another reason than a full device.
    #[error("journal not opened: {0}")]
    Io(IoFailure),
}

/// Files could not be recycled or removed. They stay in use and the next call tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The device refused.
    #[error("journal files not released: {0}")]
    Io(IoFailure),
}

impl From<IoFailure> for ReleaseError {
    fn from(failure: IoFailure) -> ReleaseError {
        ReleaseError::Io(failure)
    }
}

/// The journal files could not be read. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The device refused. What the journal holds is not known: starting without it could lose
    /// what was acknowledged.
    #[error("journal not read: {0}")]
    Io(IoFailure),
    /// No memory to read into.
    #[error("journal not read: {0}")]
    Memory(#[from] OverBudget),
    /// Written by another version of this program.
    #[error("{} has journal format {version}, which this version cannot read", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The format it has.
        version: u16,
    },
    /// A frame is intact and makes no sense: written by another version of this program.
    #[error("{} holds a frame at {position} that this version cannot read", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The frame's position, in bytes.
        position: u64,
    },
    /// What was intact at the start is not any more.
    #[error("{} changed at {position} since it was scanned", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Where the piece begins, in bytes.
        position: u64,
    },
}

impl From<IoFailure> for ReplayError {
    fn from(failure: IoFailure) -> ReplayError {
        ReplayError::Io(failure)
    }
}
