//! The header of a record batch, read into a struct.
//!
//! Only what decides how to read on is checked here (length, version, a base offset that is one);
//! whether a batch is acceptable is the question of `validate`.

use crate::layout::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, CRC, HEADER_LEN, LAST_OFFSET_DELTA,
    LEADER_EPOCH, LENGTH, LENGTH_EXCLUDES, MAGIC, MAGIC_2, MAX_TIMESTAMP, PRODUCER_EPOCH,
    PRODUCER_ID, RECORD_COUNT, array, put,
};
use crate::{Attributes, Codec, Offset, ProducerEpoch, ProducerId, TimestampType, UnknownCodec};

/// The header of one record batch.
///
/// One struct with many fields because it is one piece of the format: the fields are those of
/// [`layout`](crate::layout), in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record; from a client 0.
    pub base_offset: Offset,
    /// Length of the whole batch in bytes, header and length field included; at least 61.
    pub len: usize,
    /// Epoch of the leader that appended it; -1 if no leader has.
    pub leader_epoch: i32,
    /// CRC-32C as it is in the header, right or wrong.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Last offset less the base offset. Negative only in a batch that nobody has validated.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas are relative to, in milliseconds.
    pub base_timestamp_ms: i64,
    /// Largest timestamp of the records, in milliseconds; -1 for none.
    pub max_timestamp_ms: i64,
    /// Producer id or -1.
    pub producer_id: i64,
    /// Producer epoch or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record or -1.
    pub base_sequence: i32,
    /// Number of records. Less than the offsets cover if the batch was compacted.
    pub records: i32,
}

/// There is no header to be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes end before the header does (or, for whole batches, before the batch does).
    #[error("the batch is cut off: {needed} bytes are needed")]
    Truncated {
        /// Length that the bytes must have at least for another try.
        needed: usize,
    },
    /// The length field is below that of a header.
    #[error("a batch cannot have the length field {found}")]
    Length {
        /// The field as it is.
        found: i32,
    },
    /// The batch is of another version of the format.
    #[error("unsupported batch version {found}")]
    Magic {
        /// The field as it is. 0 and 1 are Kafka's old message sets.
        found: i8,
    },
    /// The base offset is negative.
    #[error("a batch cannot begin at offset {found}")]
    BaseOffset {
        /// The field as it is.
        found: i64,
    },
}

/// The idempotent producer that sent a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its id, not negative.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record; -1 in control batches.
    pub base_sequence: i32,
}

impl Header {
    /// Reads the header at the front of `bytes`, which need not hold the whole batch.
    pub fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        if bytes.len() <= MAGIC {
            return Err(HeaderError::Truncated { needed: HEADER_LEN });
        }
        let length = i32::from_be_bytes(array(bytes, LENGTH));
        let len = usize::try_from(length).unwrap_or(0) + LENGTH_EXCLUDES;
        if len < HEADER_LEN {
            return Err(HeaderError::Length { found: length });
        }
        if bytes[MAGIC] != MAGIC_2 {
            return Err(HeaderError::Magic { found: bytes[MAGIC].cast_signed() });
        }
        if bytes.len() < HEADER_LEN {
            return Err(HeaderError::Truncated { needed: HEADER_LEN });
        }
        let base = i64::from_be_bytes(array(bytes, BASE_OFFSET));
        let base_offset = Offset::new(base).ok_or(HeaderError::BaseOffset { found: base })?;
        Ok(Header {
            base_offset,
            len,
            leader_epoch: i32::from_be_bytes(array(bytes, LEADER_EPOCH)),
            crc: u32::from_be_bytes(array(bytes, CRC)),
            attributes: Attributes::new(i16::from_be_bytes(array(bytes, ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(array(bytes, LAST_OFFSET_DELTA)),
            base_timestamp_ms: i64::from_be_bytes(array(bytes, BASE_TIMESTAMP)),
            max_timestamp_ms: i64::from_be_bytes(array(bytes, MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(array(bytes, PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(array(bytes, PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(array(bytes, BASE_SEQUENCE)),
            records: i32::from_be_bytes(array(bytes, RECORD_COUNT)),
        })
    }

    /// Writes the header to the front of `bytes`, the checksum as it is in the struct.
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than a header, or the batch longer than 2^31-1 bytes.
    pub fn write(&self, bytes: &mut [u8]) {
        let length = self.len.checked_sub(LENGTH_EXCLUDES).and_then(|len| i32::try_from(len).ok());
        let length = length.expect("a batch has between 61 bytes and 2 GiB");
        put(bytes, BASE_OFFSET, &self.base_offset.raw().to_be_bytes());
        put(bytes, LENGTH, &length.to_be_bytes());
        put(bytes, LEADER_EPOCH, &self.leader_epoch.to_be_bytes());
        put(bytes, MAGIC, &[MAGIC_2]);
        put(bytes, CRC, &self.crc.to_be_bytes());
        put(bytes, ATTRIBUTES, &self.attributes.raw().to_be_bytes());
        put(bytes, LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        put(bytes, BASE_TIMESTAMP, &self.base_timestamp_ms.to_be_bytes());
        put(bytes, MAX_TIMESTAMP, &self.max_timestamp_ms.to_be_bytes());
        put(bytes, PRODUCER_ID, &self.producer_id.to_be_bytes());
        put(bytes, PRODUCER_EPOCH, &self.producer_epoch.to_be_bytes());
        put(bytes, BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(bytes, RECORD_COUNT, &self.records.to_be_bytes());
    }

    /// Offset of the last record, inclusive. A negative delta counts as 0.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        let delta = if self.last_offset_delta < 0 { 0 } else { self.last_offset_delta };
        self.base_offset.plus(delta as i64)
    }

    /// Offset after the last record: where the next batch may begin.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// How the records are compressed.
    pub const fn codec(&self) -> Result<Codec, UnknownCodec> {
        self.attributes.codec()
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// Whether the batch is the broker's own word, not for consumers.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Whether the batch is part of a transaction, its end marker included.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Whether the base timestamp is a delete horizon.
    #[must_use]
    pub const fn has_delete_horizon(&self) -> bool {
        self.attributes.has_delete_horizon()
    }

    /// The time after which tombstones of the batch may go, in milliseconds (KIP-534).
    #[must_use]
    pub const fn delete_horizon_ms(&self) -> Option<i64> {
        if self.has_delete_horizon() { Some(self.base_timestamp_ms) } else { None }
    }

    /// Whether an idempotent producer sent the batch.
    #[must_use]
    pub const fn has_producer(&self) -> bool {
        0 <= self.producer_id
    }

    /// The idempotent producer that sent the batch.
    #[must_use]
    pub const fn producer(&self) -> Option<Producer> {
        if !self.has_producer() {
            return None;
        }
        Some(Producer {
            id: ProducerId::new(self.producer_id),
            epoch: ProducerEpoch::new(self.producer_epoch),
            base_sequence: self.base_sequence,
        })
    }

    /// Sequence of the last record; `None` if the batch has no sequences.
    #[must_use]
    pub const fn last_sequence(&self) -> Option<i32> {
        if !self.has_producer() || self.base_sequence < 0 {
            return None;
        }
        let delta = if self.last_offset_delta < 0 { 0 } else { self.last_offset_delta };
        Some(sequence_after(self.base_sequence, delta))
    }
}

/// The sequence `n` records after `sequence`: after 2^31-1 comes 0. Neither may be negative; a
/// negative one counts as 0.
#[must_use]
pub const fn sequence_after(sequence: i32, n: i32) -> i32 {
    let sequence = if sequence < 0 { 0 } else { sequence };
    let n = if n < 0 { 0 } else { n };
    // Modulo 2^31: the sum wraps into the sign bit, which goes.
    sequence.wrapping_add(n) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            base_offset: Offset::ZERO.plus(0x0102_0304_0506),
            len: 61 + 7,
            leader_epoch: 0x11,
            crc: 0xdead_beef,
            attributes: Attributes::new(0x13),
            last_offset_delta: 4,
            base_timestamp_ms: 0x21,
            max_timestamp_ms: 0x22,
            producer_id: 0x31,
            producer_epoch: 0x32,
            base_sequence: i32::MAX - 1,
            records: 5,
        }
    }

    #[test]
    fn each_field_has_its_place() {
        let mut bytes = [0; HEADER_LEN];
        header().write(&mut bytes);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let want = "0000010203040506 00000038 00000011 02 deadbeef 0013 00000004 \
                    0000000000000021 0000000000000022 0000000000000031 0032 7ffffffe 00000005";
        assert_eq!(hex, want.replace(' ', ""));
        assert_eq!(Header::read(&bytes), Ok(header()));
    }

    #[test]
    fn offsets_and_sequences_follow_from_the_delta() {
        let header = header();
        assert_eq!(header.last_offset().raw(), 0x0102_0304_050a);
        assert_eq!(header.next_offset().raw(), 0x0102_0304_050b);
        assert_eq!(header.last_sequence(), Some(2));
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX, i32::MAX), i32::MAX - 1);
        let unnumbered = Header { base_sequence: -1, ..header };
        assert_eq!(unnumbered.last_sequence(), None);
        assert_eq!(Header { producer_id: -1, ..header }.producer(), None);
        let hostile = Header { last_offset_delta: i32::MIN, ..header };
        assert_eq!(hostile.last_offset(), hostile.base_offset);
    }

    #[test]
    fn what_is_no_header_is_refused_for_its_reason() {
        let mut bytes = [0; HEADER_LEN];
        header().write(&mut bytes);
        for len in 0..HEADER_LEN {
            let read = Header::read(&bytes[..len]);
            assert_eq!(read, Err(HeaderError::Truncated { needed: HEADER_LEN }));
        }
        let changed = |at: usize, field: &[u8]| {
            let mut bytes = bytes;
            put(&mut bytes, at, field);
            Header::read(&bytes)
        };
        for found in [i32::MIN, -1, 0, 48] {
            assert_eq!(changed(LENGTH, &found.to_be_bytes()), Err(HeaderError::Length { found }));
        }
        assert!(changed(LENGTH, &i32::MAX.to_be_bytes()).is_ok());
        for found in [-1, 0, 1, 3] {
            assert_eq!(changed(MAGIC, &i8::to_be_bytes(found)), Err(HeaderError::Magic { found }));
        }
        assert_eq!(changed(BASE_OFFSET, &[255; 8]), Err(HeaderError::BaseOffset { found: -1 }));
    }
}
