//! Whether a topic takes a batch, and what becomes of it.
//!
//! The checks and their order are Kafka's (`ProduceRequest.validateRecords`, `UnifiedLog.append`,
//! `LogValidator`), for one batch of version 2. Who may write, who leads, and what a producer's
//! sequence must be is not decided here. The records are always walked to the last byte, however
//! they are compressed: a consumer must never be the first to find a flaw.

use std::borrow::Cow;

use crate::codec;
use crate::layout::HEADER_LEN;
use crate::records::RawRecord;
use crate::{
    Attributes, Batches, Codec, Flaw, Header, HeaderError, MalformedRecord, RecordErrors,
    RecordFlaw, Refusal, TimestampType, crc_is_right, write_crc,
};

/// No batch is taken that is longer, before or after decompression, whatever the rules say: what it
/// is rebuilt to must stay below the 2 GiB that the length field can say.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// What a topic takes. There is no default: the caller knows the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether the client may send zstd: Produce version 7 or later.
    pub zstd_allowed: bool,
    /// The topic's `max.message.bytes`: the longest batch, header included.
    pub batch_bytes_max: usize,
    /// The topic's `message.timestamp.*`.
    pub timestamps: Timestamps,
    /// The topic's `compression.type` with the level that belongs to it.
    pub compression: Compression,
    /// Whether the topic is compacted, so that every record needs a key.
    pub compacted: bool,
    /// The most that a batch's records may become when they are decompressed, in bytes.
    pub decompressed_bytes_max: usize,
    /// Whether a client sent the batch. The broker's own may be control batches, begin anywhere,
    /// and have gaps.
    pub from_client: bool,
}

/// Who sets timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// The producer, within `[now - before_max_ms, now + after_max_ms]`, both inclusive. -1, which
    /// means none, is always taken.
    CreateTime {
        /// `message.timestamp.before.max.ms`.
        before_max_ms: i64,
        /// `message.timestamp.after.max.ms`.
        after_max_ms: i64,
    },
    /// The broker.
    LogAppendTime,
}

/// How a topic's batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As the producer did.
    Producer,
    /// With this codec. What comes in it stays as it is, whatever its level.
    To {
        /// The codec.
        codec: Codec,
        /// Its level; `None` is the codec's default.
        level: Option<i32>,
    },
}

/// A batch that the topic takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The header of the batch as it is to be appended.
    pub header: Header,
    /// The bytes to be appended.
    pub payload: Payload,
    /// The largest timestamp, in milliseconds; -1 for none.
    pub max_timestamp_ms: i64,
    /// Offset, less the base offset, of the first record that has it.
    pub offset_of_max_timestamp: i32,
}

/// The bytes of a checked batch. Offset and leader epoch are still to be stamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Those that were given to [`validate`], all of them.
    AsSent,
    /// Others: the topic's timestamps, its codec, or right offset deltas demanded it.
    Rebuilt(Vec<u8>),
}

/// Checks `sent`, the records that a client sent for one partition, against the topic's `rules`.
/// A cut-off batch behind the one is ignored, as Kafka does. `now_ms` is the wall clock.
pub fn validate(sent: &[u8], rules: &Rules, now_ms: i64) -> Result<Checked, Refusal> {
    let (header, batch) = sole_batch(sent)?;
    let codec = check_header(&header, batch, rules)?;
    let payload = decompressed(codec, batch, rules)?;
    let walk = walk(&header, &payload, rules, now_ms)?;
    let target = match rules.compression {
        Compression::Producer => (codec, None),
        Compression::To { codec, level } => (codec, level),
    };
    let (max_timestamp_ms, offset_of_max_timestamp) = match rules.timestamps {
        Timestamps::CreateTime { .. } => (walk.max_timestamp_ms, walk.index_of_max),
        Timestamps::LogAppendTime => (now_ms, 0),
    };
    let wanted = Header {
        attributes: wanted_attributes(&header, target.0, rules),
        max_timestamp_ms,
        ..header
    };
    let rebuilt = if target.0 != codec || !walk.in_sequence {
        Some(rebuild(&wanted, &payload, target, walk.in_sequence))
    } else if wanted != header {
        Some(patch(&wanted, &batch[HEADER_LEN..]))
    } else if batch.len() != sent.len() {
        Some(batch.to_vec())
    } else {
        None
    };
    let Some(bytes) = rebuilt else {
        let payload = Payload::AsSent;
        return Ok(Checked { header, payload, max_timestamp_ms, offset_of_max_timestamp });
    };
    check_len(bytes.len(), rules)?;
    let header = Header::read(&bytes).expect("it was built here");
    let payload = Payload::Rebuilt(bytes);
    Ok(Checked { header, payload, max_timestamp_ms, offset_of_max_timestamp })
}

/// The one whole batch in `sent`.
fn sole_batch(sent: &[u8]) -> Result<(Header, &[u8]), Refusal> {
    let mut batches = Batches::new(sent);
    let first = batches.next().ok_or(Refusal::NoBatch)??;
    match batches.next() {
        None | Some(Err(HeaderError::Truncated { .. })) => Ok(first),
        Some(Ok(_) | Err(HeaderError::BaseOffset { .. } | HeaderError::Magic { found: 0..=1 })) => {
            Err(Refusal::ManyBatches)
        }
        Some(Err(error)) => Err(error.into()),
    }
}

/// The checks that need no record.
fn check_header(header: &Header, batch: &[u8], rules: &Rules) -> Result<Codec, Refusal> {
    let codec = header.codec();
    if codec == Ok(Codec::Zstd) && !rules.zstd_allowed {
        return Err(Refusal::ZstdNotAllowed);
    }
    if rules.from_client && 0 < header.base_offset.raw() {
        return Err(Refusal::BaseOffset { found: header.base_offset.raw() });
    }
    check_len(batch.len(), rules)?;
    if !crc_is_right(batch) {
        return Err(Refusal::Crc);
    }
    let codec = codec.map_err(|unknown| Refusal::UnknownCodec { id: unknown.id })?;
    if !rules.from_client {
        return Ok(codec);
    }
    let Header { records, last_offset_delta, producer_id, .. } = *header;
    if records <= 0 || last_offset_delta != records - 1 {
        return Err(Refusal::Count { records, last_offset_delta });
    }
    if header.is_control() {
        return Err(Refusal::Control);
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(Refusal::NoSequence { producer_id });
    }
    Ok(codec)
}

fn check_len(len_bytes: usize, rules: &Rules) -> Result<(), Refusal> {
    let max_bytes = rules.batch_bytes_max.min(BATCH_BYTES_MAX);
    if max_bytes < len_bytes { Err(Refusal::TooLarge { len_bytes, max_bytes }) } else { Ok(()) }
}

fn decompressed<'a>(
    codec: Codec,
    batch: &'a [u8],
    rules: &Rules,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let records = &batch[HEADER_LEN..];
    let max_bytes = rules.decompressed_bytes_max.min(BATCH_BYTES_MAX);
    match codec {
        Codec::None => Ok(Cow::Borrowed(records)),
        _ => codec::decompress(codec, records, max_bytes)
            .map(Cow::Owned)
            .map_err(Refusal::Decompress),
    }
}

/// What the walk through a batch's records found.
struct Walk {
    max_timestamp_ms: i64,
    index_of_max: i32,
    /// Whether the offset deltas are 0, 1, 2 and so on, or nobody asks.
    in_sequence: bool,
}

fn walk(header: &Header, payload: &[u8], rules: &Rules, now_ms: i64) -> Result<Walk, Refusal> {
    let mut walk = Walk { max_timestamp_ms: -1, index_of_max: 0, in_sequence: true };
    let mut errors = RecordErrors::default();
    let mut timestamps_refused = false;
    let mut rest = payload;
    for index in 0..header.records {
        let flaw = |what| MalformedRecord { index, what };
        if rest.is_empty() {
            return Err(flaw(Flaw::Missing).into());
        }
        let record = RawRecord::take(&mut rest).map_err(flaw)?;
        let timestamp_ms = header.base_timestamp_ms.wrapping_add(record.timestamp_delta_ms);
        if walk.max_timestamp_ms < timestamp_ms {
            (walk.max_timestamp_ms, walk.index_of_max) = (timestamp_ms, index);
        }
        walk.in_sequence &= record.offset_delta == index || !rules.from_client;
        if rules.compacted && record.key.is_none() {
            errors.push(index, RecordFlaw::NullKey);
        } else if let Some(flaw) = timestamp_flaw(header, timestamp_ms, rules, now_ms) {
            timestamps_refused = true;
            errors.push(index, flaw);
        }
    }
    if !rest.is_empty() {
        return Err(MalformedRecord { index: header.records, what: Flaw::TrailingBytes }.into());
    }
    match (errors.total, timestamps_refused) {
        (0, _) => Ok(walk),
        (_, true) => Err(Refusal::InvalidTimestamp(errors)),
        (_, false) => Err(Refusal::NullKey(errors)),
    }
}

#[inline]
fn timestamp_flaw(
    header: &Header,
    timestamp_ms: i64,
    rules: &Rules,
    now_ms: i64,
) -> Option<RecordFlaw> {
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Some(RecordFlaw::TimestampType);
    }
    let Timestamps::CreateTime { before_max_ms, after_max_ms } = rules.timestamps else {
        return None;
    };
    let age_ms = now_ms.saturating_sub(timestamp_ms);
    let lead_ms = timestamp_ms.saturating_sub(now_ms);
    let refused = timestamp_ms != -1 && (before_max_ms < age_ms || after_max_ms < lead_ms);
    refused.then_some(RecordFlaw::Timestamp { timestamp_ms })
}

/// A client's delete horizon would let compaction drop its tombstones at once: it goes. Deltas stay
/// relative to the same number, which is a base timestamp then.
fn wanted_attributes(header: &Header, codec: Codec, rules: &Rules) -> Attributes {
    let attributes =
        header.attributes.with_codec(codec).with_timestamp_type(match rules.timestamps {
            Timestamps::CreateTime { .. } => TimestampType::CreateTime,
            Timestamps::LogAppendTime => TimestampType::LogAppendTime,
        });
    if rules.from_client { attributes.with_delete_horizon(false) } else { attributes }
}

/// The batch with another header but the same records.
fn patch(header: &Header, records: &[u8]) -> Vec<u8> {
    let mut batch = Vec::with_capacity(HEADER_LEN + records.len());
    batch.resize(HEADER_LEN, 0);
    batch.extend_from_slice(records);
    Header { len: batch.len(), ..*header }.write(&mut batch);
    write_crc(&mut batch);
    batch
}

/// The batch with its records, which are well-formed, compressed anew and numbered in sequence.
fn rebuild(
    header: &Header,
    payload: &[u8],
    (codec, level): (Codec, Option<i32>),
    in_sequence: bool,
) -> Vec<u8> {
    let payload = if in_sequence { Cow::Borrowed(payload) } else { renumbered(payload) };
    match codec {
        Codec::None => patch(header, &payload),
        _ => patch(header, &codec::compress(codec, level, &payload)),
    }
}

fn renumbered(payload: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(payload.len());
    let mut rest = payload;
    for index in 0.. {
        if rest.is_empty() {
            break;
        }
        RawRecord::take(&mut rest).expect("the walk has seen it").put(index, &mut out);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
