//! Replaying the metadata log: batches in, an image and the state of the quorum out.

use record::{Batches, HeaderError, LeaderEpoch, Offset};

use crate::image::{Fold, FoldError, Image};
use crate::records::{ControlRecord, VotersRecord};

use super::{Entry, ReadError, read_batch};

/// What the control records say of the quorum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quorum {
    /// Raft epoch of the last batch.
    pub epoch: Option<LeaderEpoch>,
    /// Leader of the last epoch that said one.
    pub leader: Option<i32>,
    /// Level of the quorum's protocol; 0 where the voters are configured, not recorded.
    pub kraft_version: i16,
    /// The recorded voters, from level 1 on.
    pub voters: Option<VotersRecord>,
}

impl Quorum {
    /// Takes in what a control record says.
    pub(super) fn apply(&mut self, record: &ControlRecord) {
        match record {
            ControlRecord::LeaderChange(body) => self.leader = Some(body.leader_id),
            ControlRecord::KRaftVersion(body) => self.kraft_version = body.kraft_version,
            ControlRecord::KRaftVoters(body) => self.voters = Some(body.clone()),
            ControlRecord::SnapshotHeader(_) | ControlRecord::SnapshotFooter(_) => {}
        }
    }
}

/// Why the log cannot be replayed further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A batch cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record does not fit.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The offset of a batch does not follow the batch before.
    #[error("a batch of the metadata log is at offset {found}, after offset {expected} comes next")]
    Gap {
        /// What should come.
        expected: Offset,
        /// What came.
        found: Offset,
    },
    /// A raft epoch is negative or smaller than the one before.
    #[error("the raft epoch goes back to {found} at offset {base}")]
    EpochWentBack {
        /// The batch's first offset.
        base: Offset,
        /// Its epoch.
        found: i32,
    },
}

/// A replay in progress. It checks that batches follow each other without gap and that the raft
/// epoch never goes back.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    fold: Fold,
    quorum: Quorum,
    next: Option<Offset>,
}

impl Replay {
    /// From an empty state: the first batch may have any offset, that of a log whose beginning is
    /// in a snapshot must be the snapshot's end.
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Goes on from a snapshot that ends before `end`.
    pub fn from_snapshot(image: Image, quorum: Quorum, end: Offset) -> Replay {
        Replay { fold: Fold::from_image(image), quorum, next: Some(end) }
    }

    /// The image of everything committed so far.
    pub const fn image(&self) -> &Image {
        self.fold.image()
    }

    /// Whether a metadata transaction is open.
    pub const fn in_transaction(&self) -> bool {
        self.fold.in_transaction()
    }

    /// What is known of the quorum.
    pub const fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Offset that the next batch must have; `None` if any will do.
    pub const fn next(&self) -> Option<Offset> {
        self.next
    }

    /// Takes in one whole batch and gives the offset after it.
    ///
    /// # Errors
    ///
    /// See [`ReplayError`]. The replay must not be used further.
    pub fn batch(&mut self, bytes: &[u8]) -> Result<Offset, ReplayError> {
        let (header, entries) = read_batch(bytes)?;
        let base = header.base_offset;
        if let Some(expected) = self.next.filter(|expected| *expected != base) {
            return Err(ReplayError::Gap { expected, found: base });
        }
        let epoch = LeaderEpoch::new(header.leader_epoch)
            .filter(|epoch| self.quorum.epoch.is_none_or(|last| last <= *epoch))
            .ok_or(ReplayError::EpochWentBack { base, found: header.leader_epoch })?;
        self.quorum.epoch = Some(epoch);
        for (offset, entry) in entries {
            match entry {
                Entry::Data(record, _) => self.fold.apply(offset, &record)?,
                Entry::Control(record) => {
                    self.fold.skip(offset)?;
                    self.quorum.apply(&record);
                }
            }
        }
        let next = header.next_offset();
        self.next = Some(next);
        Ok(next)
    }

    /// Takes in every whole batch of `bytes` and gives how many bytes they are: less than all when
    /// the last batch is cut off.
    ///
    /// # Errors
    ///
    /// As [`Replay::batch`].
    pub fn batches(&mut self, bytes: &[u8]) -> Result<usize, ReplayError> {
        let mut batches = Batches::new(bytes);
        for next in &mut batches {
            match next {
                Ok((_, batch)) => self.batch(batch)?,
                Err(HeaderError::Truncated { .. }) => break,
                Err(_) => return Err(ReadError::NotABatch.into()),
            };
        }
        Ok(bytes.len() - batches.rest().len())
    }
}
