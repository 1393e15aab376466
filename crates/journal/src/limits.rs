//! Every size and count that is fixed, with its unit.

use buf::PAGE;

use crate::layout::{BATCHES_HEAD_LEN, FRAME_HEADER_LEN, ITEM_HEAD_LEN};

/// The longest frame, header and padding included, in bytes. Part of the format: a length beyond it
/// is never a frame.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The most bytes of batches that fit in one frame, in bytes. One batch that is longer cannot
/// go through the journal.
pub const BATCHES_BYTES_MAX: usize =
    FRAME_BYTES_MAX - FRAME_HEADER_LEN - ITEM_HEAD_LEN - BATCHES_HEAD_LEN;

/// Space that is filled with zeros at a time, in bytes.
pub(crate) const PREPARE_PIECE_BYTES: u64 = 1 << 20;

/// Space that is filled with zeros before a new file takes its first frame, in bytes: small, so
/// that the first acknowledgement does not wait for it.
pub(crate) const PREPARE_FIRST_BYTES: u64 = 256 << 10;

/// One write of zeros, in bytes.
pub(crate) const PREPARE_WRITE_BYTES: usize = 128 << 10;

/// What the scan of a file reads first, in bytes: enough to see that it holds nothing.
pub(crate) const SCAN_FIRST_BYTES: usize = 64 << 10;

/// The fewest bytes of a journal file: its header page and four frames of one page.
pub(crate) const FILE_BYTES_MIN: u64 = 5 * PAGE as u64;

/// The most partitions that a checkpoint file may name.
pub(crate) const CHECKPOINT_PARTITIONS_MAX: u32 = 1 << 20;

const _: () = assert!(FRAME_BYTES_MAX.is_multiple_of(PAGE) && FRAME_HEADER_LEN < PAGE);
const _: () = assert!(PREPARE_PIECE_BYTES.is_multiple_of(PREPARE_WRITE_BYTES as u64));
const _: () = assert!(PREPARE_FIRST_BYTES.is_multiple_of(PREPARE_WRITE_BYTES as u64));
