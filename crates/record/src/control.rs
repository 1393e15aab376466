//! Control batches: what brokers write into a log for one another (KIP-98, KIP-595, KIP-630,
//! KIP-853). The key of a control record says what it is; here it is read and written, with the
//! value of the two that end a transaction. The values of the others belong to the metadata log.

use crate::records::PayloadError;
use crate::{Builder, Codec, Header, MalformedRecord, Offset, Producer, Records, payload};

const VERSION: i16 = 0;
/// A control batch holds one short record, or a few in the metadata log; more is no control batch.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// What a control record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlKind {
    /// Ends a transaction, which did not happen.
    Abort,
    /// Ends a transaction, which happened.
    Commit,
    /// A new leader of the metadata log.
    LeaderChange,
    /// The begin of a metadata snapshot.
    SnapshotHeader,
    /// The end of a metadata snapshot.
    SnapshotFooter,
    /// The version of KRaft's protocol.
    KRaftVersion,
    /// The voters of the metadata log.
    KRaftVoters,
}

impl ControlKind {
    const ALL: [ControlKind; 7] = [
        ControlKind::Abort,
        ControlKind::Commit,
        ControlKind::LeaderChange,
        ControlKind::SnapshotHeader,
        ControlKind::SnapshotFooter,
        ControlKind::KRaftVersion,
        ControlKind::KRaftVoters,
    ];

    /// The key of a control record of this kind: a version and a type, both i16.
    #[must_use]
    pub const fn key(self) -> [u8; 4] {
        let kind: i16 = match self {
            ControlKind::Abort => 0,
            ControlKind::Commit => 1,
            ControlKind::LeaderChange => 2,
            ControlKind::SnapshotHeader => 3,
            ControlKind::SnapshotFooter => 4,
            ControlKind::KRaftVersion => 5,
            ControlKind::KRaftVoters => 6,
        };
        let ([a, b], [c, d]) = (VERSION.to_be_bytes(), kind.to_be_bytes());
        [a, b, c, d]
    }

    /// The kind that a control record's key names. `None` for one that is not known here: Kafka's
    /// rule is to pass over it. A later version may have a longer key.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<ControlKind> {
        let ([version, kind], _) = key.split_first_chunk::<4>()?.0.as_chunks::<2>() else {
            return None;
        };
        if i16::from_be_bytes(*version) < VERSION {
            return None;
        }
        ControlKind::ALL.into_iter().find(|known| known.key()[2..] == kind[..])
    }
}

/// The marker that ends a transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// Whether the transaction happened.
    pub commit: bool,
    /// The epoch of the coordinator that wrote the marker, which fences older ones.
    pub coordinator_epoch: i32,
}

/// A control batch cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The bytes of its records cannot be had.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Its record is malformed.
    #[error(transparent)]
    Malformed(#[from] MalformedRecord),
    /// Its key or value is not that of any version.
    #[error("malformed end of a transaction")]
    Marker,
}

impl EndTransaction {
    /// A batch with the marker for `producer`, whose base sequence does not count: markers have
    /// none.
    #[must_use]
    pub fn build(self, producer: Producer, timestamp_ms: i64) -> Vec<u8> {
        let kind = if self.commit { ControlKind::Commit } else { ControlKind::Abort };
        let value = [&VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = Builder::new(Codec::None);
        builder.base_offset(Offset::ZERO).transactional().control();
        builder.producer(producer.id.raw(), producer.epoch.raw(), -1);
        builder.record(timestamp_ms, Some(&kind.key()), Some(&value), &[]);
        builder.build()
    }

    /// The marker in `batch`, exactly one whole batch. `None` if it is no control batch, has no
    /// record left, or is of another kind.
    pub fn read(batch: &[u8]) -> Result<Option<EndTransaction>, ControlError> {
        let header = Header::read(batch).map_err(PayloadError::from)?;
        if !header.is_control() {
            return Ok(None);
        }
        let payload = payload(batch, PAYLOAD_BYTES_MAX)?;
        let Some(record) = Records::new(&header, &payload).next() else { return Ok(None) };
        let record = record?;
        let kind = record.key.and_then(ControlKind::of_key);
        let commit = match kind {
            Some(ControlKind::Commit) => true,
            Some(ControlKind::Abort) => false,
            _ => return Ok(None),
        };
        let value = record.value.and_then(|value| value.first_chunk::<6>());
        let [v0, v1, epoch @ ..] = *value.ok_or(ControlError::Marker)?;
        if i16::from_be_bytes([v0, v1]) < VERSION {
            return Err(ControlError::Marker);
        }
        Ok(Some(EndTransaction { commit, coordinator_epoch: i32::from_be_bytes(epoch) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProducerEpoch, ProducerId, crc_is_right};

    const PRODUCER: Producer =
        Producer { id: ProducerId::new(7), epoch: ProducerEpoch::new(3), base_sequence: 12 };

    #[test]
    fn a_marker_is_read_as_it_was_built() {
        for commit in [false, true] {
            let marker = EndTransaction { commit, coordinator_epoch: 0x0102_0304 };
            let batch = marker.build(PRODUCER, 1_000);
            assert!(crc_is_right(&batch));
            assert_eq!(EndTransaction::read(&batch), Ok(Some(marker)));
            let header = Header::read(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!((header.last_sequence(), header.next_offset().raw()), (None, 1));
            assert_eq!(header.producer().map(|p| p.base_sequence), Some(-1));
        }
    }

    #[test]
    fn a_marker_has_kafkas_bytes() {
        let marker = EndTransaction { commit: true, coordinator_epoch: 5 };
        let batch = marker.build(PRODUCER, 1_000);
        let record = b"\x20\x00\x00\x00\x08\x00\x00\x00\x01\x0c\x00\x00\x00\x00\x00\x05\x00";
        assert_eq!(&batch[crate::layout::HEADER_LEN..], record);
        assert_eq!(batch[crate::layout::ATTRIBUTES..][..2], [0, 0x30]);
    }

    #[test]
    fn every_kind_has_its_key() {
        for (n, kind) in (0_u8..).zip(ControlKind::ALL) {
            assert_eq!(kind.key(), [0, 0, 0, n]);
            assert_eq!(ControlKind::of_key(&[0, 1, 0, n, 9]), Some(kind));
        }
        for key in [&[0, 0, 0, 7][..], &[0, 0, 1, 0], &[255, 255, 0, 1], &[0, 0, 0], &[]] {
            assert_eq!(ControlKind::of_key(key), None);
        }
    }

    #[test]
    fn what_is_no_marker_is_told_apart_from_what_is_broken() {
        let batch = |control: bool, key: &[u8], value: Option<&[u8]>| {
            let mut builder = Builder::new(Codec::None);
            builder.record(1, Some(key), value, &[]);
            if control {
                builder.control();
            }
            builder.build()
        };
        let (commit, other) = (ControlKind::Commit.key(), ControlKind::LeaderChange.key());
        assert_eq!(EndTransaction::read(&batch(false, &commit, Some(&[0; 6]))), Ok(None));
        assert_eq!(EndTransaction::read(&batch(true, &other, None)), Ok(None));
        for value in [None, Some(&[0; 5][..]), Some(&[255; 6])] {
            let read = EndTransaction::read(&batch(true, &commit, value));
            assert_eq!(read, Err(ControlError::Marker));
        }
        assert!(EndTransaction::read(b"short").is_err());
    }
}
