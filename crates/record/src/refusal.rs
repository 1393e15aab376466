//! Why a batch is not taken from a client: one variant for each reason, so that whoever answers in
//! Kafka's codes has to decide about each.

use crate::codec::DecompressError;
use crate::{HeaderError, MalformedRecord};

/// The batch is not taken. Nothing was changed. The order of the variants is that of the checks:
/// of several reasons the first is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no whole batch.
    #[error("no whole batch")]
    NoBatch,
    /// The length field is below that of a header.
    #[error("a batch cannot have the length field {found}")]
    Length {
        /// The field as it is.
        found: i32,
    },
    /// The batch has the version of one of Kafka's old message sets.
    #[error("batch version {found} is no longer taken")]
    OldMagic {
        /// 0 or 1.
        found: i8,
    },
    /// The batch has a version that does not exist.
    #[error("batch version {found} does not exist")]
    UnknownMagic {
        /// The field as it is.
        found: i8,
    },
    /// A second batch follows; a partition takes one at a time.
    #[error("more than one batch")]
    ManyBatches,
    /// Zstd from a client that speaks a version of Produce older than zstd.
    #[error("zstd needs a newer version of produce")]
    ZstdNotAllowed,
    /// The base offset, which is the broker's to assign, is not 0.
    #[error("base offset {found} instead of 0")]
    BaseOffset {
        /// The field as it is.
        found: i64,
    },
    /// The batch, as sent or as the topic's codec makes it, is larger than the topic takes.
    #[error("batch of {len_bytes} bytes, {max_bytes} allowed")]
    TooLarge {
        /// Its length.
        len_bytes: usize,
        /// The topic's `max.message.bytes`.
        max_bytes: usize,
    },
    /// The checksum is wrong.
    #[error("wrong checksum")]
    Crc,
    /// The codec does not exist.
    #[error("unknown compression codec {id}")]
    UnknownCodec {
        /// 5, 6 or 7.
        id: u8,
    },
    /// There is no record, or the offsets are not as many as the records.
    #[error("{records} records with last offset delta {last_offset_delta}")]
    Count {
        /// Record count of the header.
        records: i32,
        /// Last offset delta of the header.
        last_offset_delta: i32,
    },
    /// Control batches are the broker's.
    #[error("a client cannot send control batches")]
    Control,
    /// An idempotent producer without a sequence.
    #[error("producer {producer_id} without a sequence")]
    NoSequence {
        /// The producer.
        producer_id: i64,
    },
    /// The records do not decompress.
    #[error(transparent)]
    Decompress(DecompressError),
    /// A record is malformed, or there are more or fewer than the header says.
    #[error(transparent)]
    Malformed(#[from] MalformedRecord),
    /// Records have timestamps that the topic does not take; others may have no key.
    #[error("{} records refused, some for their timestamps", .0.total)]
    InvalidTimestamp(RecordErrors),
    /// Records have no key, which a compacted topic needs.
    #[error("{} records without a key", .0.total)]
    NullKey(RecordErrors),
}

/// The records for which a batch is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordErrors {
    /// The first of them, at most [`RecordErrors::REPORTED_MAX`], in order.
    pub first: Vec<RecordError>,
    /// How many there are.
    pub total: usize,
}

/// One record for which a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its number in the batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub flaw: RecordFlaw,
}

/// What a topic does not take in a record that is well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFlaw {
    /// It has no key, and the topic is compacted.
    #[error("a compacted topic takes no record without a key")]
    NullKey,
    /// Its timestamp is too far in the past or in the future.
    #[error("timestamp {timestamp_ms} is out of the topic's range")]
    Timestamp {
        /// Its timestamp in milliseconds.
        timestamp_ms: i64,
    },
    /// The producer says that the broker set its timestamp.
    #[error("a producer cannot set the timestamp type LogAppendTime")]
    TimestampType,
}

impl RecordErrors {
    /// How many are told apart: an answer to a hostile batch must not be larger than the batch.
    pub const REPORTED_MAX: usize = 100;

    pub(crate) fn push(&mut self, index: i32, flaw: RecordFlaw) {
        self.total += 1;
        if self.first.len() < RecordErrors::REPORTED_MAX {
            self.first.push(RecordError { index, flaw });
        }
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Refusal {
        match error {
            HeaderError::Truncated { .. } => Refusal::NoBatch,
            HeaderError::Length { found } => Refusal::Length { found },
            HeaderError::Magic { found: found @ 0..=1 } => Refusal::OldMagic { found },
            HeaderError::Magic { found } => Refusal::UnknownMagic { found },
            HeaderError::BaseOffset { found } => Refusal::BaseOffset { found },
        }
    }
}
