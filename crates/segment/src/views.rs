//! Plain values that go in and out of a log.

use std::path::PathBuf;

use buf::Sealed;
use record::{EndTransaction, Header, LeaderEpoch, Offset};

use crate::Corrupt;

/// What the leader writes into a batch when it takes it; both fields lie outside the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The offset of the first record; at least the end of the log.
    pub base: Offset,
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset after its last record: the end of the log now.
    pub next: Offset,
    /// Whether a new segment was begun for it.
    pub rolled: bool,
    /// Base offset of the segment that holds it.
    pub segment_base: Offset,
    /// Where it begins in that segment, in bytes.
    pub position: u64,
}

/// Where a log begins and ends, and how far its bytes have come into the segment files.
///
/// ```text
/// durable <= written <= end
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// First offset of the first segment, or what [`advance_start`](crate::Log::advance_start)
    /// was told, whichever is later. Inclusive.
    pub start: Offset,
    /// Below it everything is in the files and flushed: the recovery point. Exclusive.
    pub durable: Offset,
    /// Below it everything is in the files. Exclusive.
    pub written: Offset,
    /// The next offset to be appended.
    pub end: Offset,
}

/// What a read brought.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// Whole batches, one after the other; where one part ends and the next begins has no meaning.
    pub parts: Vec<Sealed>,
    /// Bytes in the parts.
    pub bytes: usize,
    /// Where to read on: the offset after the last batch, or where the next one begins behind a
    /// gap. `None` if there is no batch.
    pub next: Option<Offset>,
}

/// A batch that a scan saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its header.
    pub header: Header,
    /// The marker in it, if it ends a transaction.
    pub ends: Option<EndTransaction>,
}

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, in milliseconds.
    pub timestamp_ms: i64,
    /// The epoch under which it was written, if its batch says.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// One segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its base offset, which is also its name.
    pub base: Offset,
    /// Where the next segment begins; the log end for the active one.
    pub next: Offset,
    /// Bytes of batches.
    pub len_bytes: u64,
    /// The largest timestamp in it, -1 if there is none; `None` if it was not read yet (see
    /// [`load_timestamps`](crate::Log::load_timestamps)).
    pub largest_timestamp_ms: Option<i64>,
    /// When it was begun, or when this log was opened if that was later, in milliseconds.
    pub since_ms: i64,
    /// Whether it is the one that is appended to.
    pub active: bool,
    /// Whether all of it is flushed.
    pub durable: bool,
}

/// What the caller knows of a log before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The log start offset. Used as the base offset if there is no segment.
    pub start: Offset,
    /// Below it everything was flushed once.
    pub recovery_point: Offset,
    /// The log was closed, and nothing was written since.
    pub clean: bool,
    /// Where it ended, if nothing was appended since that was noted.
    pub tail: Option<KnownTail>,
}

/// Where a log ended, as noted by a checkpoint. Only given if nothing was appended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTail {
    /// Base offset of the last segment.
    pub segment_base: Offset,
    /// Bytes of batches in it.
    pub len_bytes: u64,
    /// The end of the log.
    pub end: Offset,
    /// The largest timestamp in the segment, -1 for none.
    pub largest_timestamp_ms: i64,
}

/// What opening a log did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// There was no segment, an empty one was created.
    pub created: bool,
    /// Bytes that were checked batch by batch.
    pub scanned_bytes: u64,
    /// What was cut off, if anything but zeros was.
    pub cut: Option<Cut>,
    /// Segments behind a cut, which are gone.
    pub removed: Vec<Offset>,
    /// What is damaged below the recovery point. The files are kept as they are.
    pub damage: Vec<Damage>,
}

/// The end of the log was cut back to the last whole batch: what followed was never flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first thing that was wrong.
    pub at: Corrupt,
    /// Bytes cut off in that segment, zeros at the end included.
    pub lost_bytes: u64,
}

/// Offsets that were flushed once and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment file, which is left as it is.
    pub path: PathBuf,
    /// What is wrong, and where.
    pub at: Corrupt,
    /// The first offset after it that can be read or appended. Exclusive.
    pub until: Offset,
}
