//! Why a pass ended before its end.

use buf::OverBudget;
use env::IoFailure;
use index::IndexError;
use index::keys::{BlockError, KeyIndexError};
use segment::{Corrupt, ReplaceError, WriteError};

/// A pass could not go on. The log is as it was, or some of its segments are replaced; what else was
/// written is found, or removed, by the next pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The disk failed, or is full.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The memory of the pass does not hold what is needed at once, mostly one batch.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// A segment is damaged. Compaction does not pass over it.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A file that the pass itself wrote is damaged; the next pass writes it anew.
    #[error("a file of the pass is damaged")]
    OwnFile,
    /// The index of aborted transactions of a segment is damaged, or too long to be held.
    #[error("the index of aborted transactions cannot be used: {0}")]
    Aborted(IndexError),
    /// The log was truncated, or its segments went, while the pass ran.
    #[error("the log has changed")]
    Changed,
    /// The segments could not be replaced.
    #[error(transparent)]
    Write(WriteError),
}

impl From<BlockError> for PassError {
    fn from(error: BlockError) -> PassError {
        match error {
            BlockError::Io(failure) => PassError::Io(failure),
            BlockError::OverBudget(over) => PassError::OverBudget(over),
            BlockError::Damaged { .. } => PassError::OwnFile,
        }
    }
}

impl From<KeyIndexError> for PassError {
    fn from(error: KeyIndexError) -> PassError {
        match error {
            KeyIndexError::Io(failure) => PassError::Io(failure),
            KeyIndexError::OverBudget(over) => PassError::OverBudget(over),
        }
    }
}

impl From<ReplaceError> for PassError {
    fn from(error: ReplaceError) -> PassError {
        match error {
            ReplaceError::Changed => PassError::Changed,
            ReplaceError::Write(error) => PassError::Write(error),
        }
    }
}
