//! What can go wrong, one enum for each operation.

use std::path::PathBuf;

use buf::OverBudget;
use env::IoFailure;
use record::Offset;

/// A log could not be opened or created. Nothing was acknowledged; what is on disk is as it was,
/// or as an interrupted recovery leaves it, which the next one continues.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// Memory for the scan could not be reserved. Try again.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

/// A batch was not appended; the log is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No memory for the chunk. Try again when what is unwritten was written.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// An earlier write or flush failed: the log takes nothing until it is opened again.
    #[error("the log is fenced: {0}")]
    Fenced(IoFailure),
    /// The batch is larger than a segment may be.
    #[error("a batch of {len_bytes} bytes is larger than a segment")]
    LargerThanSegment {
        /// Length of the batch.
        len_bytes: usize,
    },
}

/// What was appended did not reach the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is no room now, on the device or (`kind` is `OutOfMemory`) in the pool. Everything is
    /// still in memory, in order, and a later call tries again.
    #[error("no room: {0}")]
    Full(IoFailure),
    /// The device failed, now or earlier. The log takes nothing more until it is opened again;
    /// reads go on.
    #[error("the log is fenced: {0}")]
    Fenced(IoFailure),
}

/// Records could not be read. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No memory to read into. Try again, or for less.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// What is on disk is no batch of this log.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// No segment holds the offset: it is below the first one.
    #[error("offset {from} is below the first segment at {first}")]
    OutOfRange {
        /// The offset asked for.
        from: Offset,
        /// The first offset of the first segment.
        first: Offset,
    },
}

/// Bytes of a segment that are no batch, or not the one that belongs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {position}: {what}", path.display())]
pub struct Corrupt {
    /// The segment file.
    pub path: PathBuf,
    /// Where the bad batch begins in it.
    pub position: u64,
    /// The offset that was expected there; everything below it is readable.
    pub offset: Offset,
    /// What is wrong.
    pub what: Flaw,
}

/// What is wrong with the bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The file ends inside the batch, or before where it must begin.
    #[error("the file ends too early")]
    Short,
    /// Zeros where a batch must be.
    #[error("zeros in place of a batch")]
    Zeros,
    /// Length, version or base offset are none.
    #[error("no batch header")]
    Header,
    /// The offsets do not follow those before, or leave the segment.
    #[error("offsets out of order")]
    Order,
    /// The checksum is wrong.
    #[error("wrong checksum")]
    Checksum,
    /// The records inside cannot be read.
    #[error("unreadable records")]
    Records,
}

/// The aborted transactions of a range cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbortedError {
    /// The index of a segment is missing or wrong. Whoever knows the producers tells its content
    /// anew ([`restore_aborted`](crate::Log::restore_aborted)).
    #[error("the aborted transactions of the segment {segment} are lost")]
    Lost {
        /// Base offset of the segment.
        segment: Offset,
        /// Those with markers at or above this offset are known.
        below: Offset,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
