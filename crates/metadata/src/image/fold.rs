//! Folding the log: records in, images out, metadata transactions held until they end (KIP-868).

use record::Offset;

use crate::records::Record;

use super::{ApplyError, Image};

/// Why the log cannot be folded further. The fold takes no more records, and its image is of no
/// use; clones taken before are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A record does not fit the state before it.
    #[error("metadata record at offset {offset} cannot be applied")]
    Apply {
        /// Where it lies.
        offset: Offset,
        /// Why.
        #[source]
        source: ApplyError,
    },
    /// The record's offset does not come after the last one.
    #[error("metadata record at offset {offset} does not come after {last}")]
    OffsetWentBack {
        /// Where it lies.
        offset: Offset,
        /// The last offset.
        last: Offset,
    },
    /// A transaction begins inside another.
    #[error("a metadata transaction begins at offset {offset} inside another")]
    NestedTransaction {
        /// Where it lies.
        offset: Offset,
    },
    /// A transaction ends that did not begin.
    #[error("a metadata transaction ends at offset {offset} that did not begin")]
    NoTransaction {
        /// Where it lies.
        offset: Offset,
    },
    /// An earlier record failed.
    #[error("the fold of the metadata log failed before")]
    Failed,
}

/// A fold in progress: the image that may be seen, and what an open transaction holds back.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    published: Image,
    held: Option<Image>,
    last: Option<Offset>,
    failed: bool,
}

impl Fold {
    /// Before the first record.
    pub fn new() -> Fold {
        Fold::default()
    }

    /// Goes on from an image, such as a snapshot's.
    pub fn from_image(image: Image) -> Fold {
        Fold { last: image.applied(), published: image, held: None, failed: false }
    }

    /// The image of everything committed so far: an open transaction is not in it.
    pub const fn image(&self) -> &Image {
        &self.published
    }

    /// Whether a transaction is open.
    pub const fn in_transaction(&self) -> bool {
        self.held.is_some()
    }

    /// Offset of the last record that was taken in, visible or held.
    pub const fn last(&self) -> Option<Offset> {
        self.last
    }

    /// Takes a record in. What it changes is visible at once outside a transaction, at its end
    /// inside one, and never if the transaction is aborted.
    ///
    /// # Errors
    ///
    /// See [`FoldError`]; every later call fails too.
    pub fn apply(&mut self, offset: Offset, record: &Record) -> Result<(), FoldError> {
        if self.failed {
            return Err(FoldError::Failed);
        }
        let result = self.try_apply(offset, record);
        self.failed = result.is_err();
        if result.is_ok() {
            self.last = Some(offset);
        }
        result
    }

    /// Passes over an offset whose record is none of the image's: a control record.
    ///
    /// # Errors
    ///
    /// `OffsetWentBack` and `Failed`, as in [`Fold::apply`].
    pub fn skip(&mut self, offset: Offset) -> Result<(), FoldError> {
        if self.failed {
            return Err(FoldError::Failed);
        }
        self.in_order(offset).inspect_err(|_| self.failed = true)?;
        self.held.as_mut().unwrap_or(&mut self.published).set_applied(offset);
        self.last = Some(offset);
        Ok(())
    }

    fn in_order(&self, offset: Offset) -> Result<(), FoldError> {
        match self.last {
            Some(last) if last >= offset => Err(FoldError::OffsetWentBack { offset, last }),
            _ => Ok(()),
        }
    }

    fn try_apply(&mut self, offset: Offset, record: &Record) -> Result<(), FoldError> {
        self.in_order(offset)?;
        match record {
            Record::BeginTransaction(_) => {
                if self.held.is_some() {
                    return Err(FoldError::NestedTransaction { offset });
                }
                self.held = Some(self.published.clone());
            }
            Record::EndTransaction(_) => {
                self.published = self.held.take().ok_or(FoldError::NoTransaction { offset })?;
                self.published.set_applied(offset);
            }
            Record::AbortTransaction(_) => {
                self.held.take().ok_or(FoldError::NoTransaction { offset })?;
                self.published.set_applied(offset);
            }
            record => {
                let image = self.held.as_mut().unwrap_or(&mut self.published);
                image
                    .apply(offset, record)
                    .map_err(|source| FoldError::Apply { offset, source })?;
            }
        }
        Ok(())
    }
}
