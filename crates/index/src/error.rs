//! What can be wrong with an index. It is derived state: the answer is always to rebuild it.

use buf::OverBudget;
use env::IoFailure;

/// Bytes that are no index of the segment. Nothing was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The length is not a whole number of entries.
    #[error("an index of {len_bytes} bytes is not a whole number of entries")]
    Length {
        /// Length of the index.
        len_bytes: usize,
    },
    /// An entry does not follow the one before it, or has a field that cannot be.
    #[error("index entry {entry} is out of order")]
    Order {
        /// Number of the entry, from 0.
        entry: usize,
    },
    /// An entry of another version of the format.
    #[error("unknown version {found} of an index entry")]
    Version {
        /// The field as it is.
        found: i16,
    },
}

/// An index file could not be searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// No memory for one page of it.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The file is shorter than the run of entries that should be in it.
    #[error("the index file is too short")]
    Short,
}
