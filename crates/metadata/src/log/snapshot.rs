//! Snapshot files: an image as a short log of its own.
//!
//! ```text
//! control batch: header, [kraft version, voters] | data batches | control batch: footer
//! ```
//!
//! Offsets inside begin at 0; the name holds the offset and epoch that the snapshot stands for. A
//! file without a footer is incomplete and must not be used.

use std::fmt;

use record::{Batches, LeaderEpoch, Offset};

use crate::image::{Fold, Image, to_records};
use crate::records::{
    ControlRecord, KRaftVersionRecord, SnapshotFooterRecord, SnapshotHeaderRecord,
};

use super::{BatchError, Entry, Quorum, ReadError, ReplayError, Stamp, read_batch};

/// What follows the name's numbers.
const SUFFIX: &str = ".checkpoint";

/// Which part of the log a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// First offset that is not in the snapshot.
    pub end: Offset,
    /// Raft epoch of the record before `end`.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The snapshot that a file's name says, if it is one of a complete snapshot.
    pub fn from_file_name(name: &str) -> Option<SnapshotId> {
        let (end, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let digits =
            |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(end, 20) || !digits(epoch, 10) {
            return None;
        }
        let end = Offset::new(end.parse().ok()?)?;
        Some(SnapshotId { end, epoch: LeaderEpoch::new(epoch.parse().ok()?)? })
    }
}

impl fmt::Display for SnapshotId {
    /// The file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}{SUFFIX}", self.end.raw(), self.epoch.raw())
    }
}

/// The bytes of a snapshot of `image`. `last_timestamp_ms` is the append time of the last record
/// that the image holds.
///
/// # Errors
///
/// See [`BatchError`].
pub fn write(
    image: &Image,
    quorum: &Quorum,
    id: SnapshotId,
    last_timestamp_ms: i64,
    now_ms: i64,
) -> Result<Vec<u8>, BatchError> {
    let mut stamp = Stamp { base: Offset::ZERO, epoch: id.epoch, now_ms };
    let mut head = vec![ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp_ms: last_timestamp_ms,
    })];
    if quorum.kraft_version > 0 {
        head.push(ControlRecord::KRaftVersion(KRaftVersionRecord {
            version: 0,
            kraft_version: quorum.kraft_version,
        }));
        head.extend(quorum.voters.clone().map(ControlRecord::KRaftVoters));
    }
    let mut bytes = super::control_batch(&head, stamp)?;
    let advance = |stamp: &mut Stamp, records: usize| {
        let records = i64::try_from(records).expect("a batch holds few records");
        stamp.base = stamp.base.plus(records);
    };
    advance(&mut stamp, head.len());
    for records in super::pieces(&to_records(image), image.metadata_version())? {
        bytes.extend(super::batch(records, image.metadata_version(), stamp)?);
        advance(&mut stamp, records.len());
    }
    let footer = ControlRecord::SnapshotFooter(SnapshotFooterRecord::default());
    bytes.extend(super::control_batch(&[footer], stamp)?);
    Ok(bytes)
}

/// Why a file is no usable snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A batch or record cannot be read or does not fit the ones before.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// There is no footer: the file was never completed.
    #[error("the snapshot is incomplete")]
    Incomplete,
    /// It does not begin with a header, or goes on after its footer.
    #[error("the snapshot is not framed by a header and a footer")]
    Unframed,
    /// A metadata transaction in it does not end.
    #[error("a metadata transaction in the snapshot does not end")]
    OpenTransaction,
}

/// Reads a snapshot: the image, which then holds everything below `id.end`, and the quorum.
///
/// # Errors
///
/// See [`SnapshotError`]. Another snapshot or the log must be used instead.
pub fn read(bytes: &[u8], id: SnapshotId) -> Result<(Image, Quorum), SnapshotError> {
    let (mut fold, mut quorum) = (Fold::new(), Quorum::default());
    let (mut begun, mut complete) = (false, false);
    for next in Batches::new(bytes) {
        let (_, batch) = next.map_err(|_| SnapshotError::Incomplete)?;
        let (_, entries) = read_batch(batch).map_err(ReplayError::from)?;
        for (offset, entry) in entries {
            let header = matches!(entry, Entry::Control(ControlRecord::SnapshotHeader(_)));
            if complete || header == begun {
                return Err(SnapshotError::Unframed);
            }
            begun = true;
            match entry {
                Entry::Data(record, _) => {
                    fold.apply(offset, &record).map_err(ReplayError::from)?;
                }
                Entry::Control(record) => {
                    complete = matches!(record, ControlRecord::SnapshotFooter(_));
                    fold.skip(offset).map_err(ReplayError::from)?;
                    quorum.apply(&record);
                }
            }
        }
    }
    if !complete {
        return Err(SnapshotError::Incomplete);
    }
    if fold.in_transaction() {
        return Err(SnapshotError::OpenTransaction);
    }
    quorum.epoch = Some(id.epoch);
    let mut image = fold.image().clone();
    image.set_end(id.end);
    Ok((image, quorum))
}

impl From<ReadError> for SnapshotError {
    fn from(error: ReadError) -> SnapshotError {
        SnapshotError::Replay(error.into())
    }
}
