//! The checksum of a batch, and what a leader may write outside it.

use crate::layout::{ATTRIBUTES, BASE_OFFSET, CRC, HEADER_LEN, LEADER_EPOCH, array, put};
use crate::{LeaderEpoch, Offset};

/// CRC-32C (Castagnoli) of what the checksum of `batch` covers: everything behind the checksum.
/// `batch` is one whole batch.
///
/// # Panics
///
/// If `batch` is shorter than a header.
#[must_use]
pub fn crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[ATTRIBUTES..])
}

/// Whether the checksum of `batch`, exactly one whole batch, is right. It is not if `batch` is
/// shorter than a header.
#[must_use]
pub fn crc_is_right(batch: &[u8]) -> bool {
    HEADER_LEN <= batch.len() && crc(batch) == u32::from_be_bytes(array(batch, CRC))
}

/// Writes the right checksum into `batch`, exactly one whole batch.
///
/// # Panics
///
/// If `batch` is shorter than a header.
pub fn write_crc(batch: &mut [u8]) {
    let crc = crc(batch);
    put(batch, CRC, &crc.to_be_bytes());
}

/// Writes what the leader assigns into a batch: the offset of its first record and the leader's
/// epoch. Both lie outside the checksum, which stays right.
///
/// # Panics
///
/// If `batch` is shorter than a header.
pub fn stamp(batch: &mut [u8], base: Offset, epoch: LeaderEpoch) {
    assert!(HEADER_LEN <= batch.len(), "a batch of {} bytes has no header", batch.len());
    put(batch, BASE_OFFSET, &base.raw().to_be_bytes());
    put(batch, LEADER_EPOCH, &epoch.raw().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Codec, Header};

    #[test]
    fn a_stamp_leaves_the_checksum_right() {
        let mut builder = Builder::new(Codec::None);
        builder.record(1, None, Some(b"v"), &[]);
        let mut batch = builder.build();
        stamp(&mut batch, Offset::ZERO.plus(77), LeaderEpoch::ZERO.next());
        assert!(crc_is_right(&batch));
        let header = Header::read(&batch).unwrap();
        assert_eq!((header.base_offset.raw(), header.leader_epoch), (77, 1));
    }

    #[test]
    fn the_checksum_covers_all_behind_itself() {
        let mut builder = Builder::new(Codec::None);
        builder.record(1, None, Some(b"v"), &[]);
        let batch = builder.build();
        for at in CRC..batch.len() {
            let mut batch = batch.clone();
            batch[at] ^= 1;
            assert!(!crc_is_right(&batch), "byte {at}");
        }
        assert!(!crc_is_right(&batch[..HEADER_LEN - 1]));
        assert!(!crc_is_right(&[]));
    }
}
