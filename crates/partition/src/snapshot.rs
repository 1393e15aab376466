//! The producer snapshot file of a segment: `<20-digit offset>.snapshot`.
//!
//! Format (Kafka, `ProducerSnapshot.json` version 1), big endian: version int16 = 1, CRC-32C uint32 of
//! what follows it, count int32, then for each producer: id int64, epoch int16, last sequence
//! int32, last offset int64, offset delta int32, timestamp int64, coordinator epoch int32,
//! current transaction's first offset int64 (-1: none). Only the last batch of each producer is
//! kept; an id without a batch has last sequence -1.

use std::collections::VecDeque;

use record::Offset;

use crate::producers::{AppendedBatch, Producer, Producers, sequence_after};

const VERSION: i16 = 1;
const HEAD_LEN: usize = 2 + 4;
const ENTRY_LEN: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// The file is not a producer snapshot; the state must be rebuilt from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedSnapshot {
    /// Shorter or longer than its count says.
    #[error("wrong length")]
    Length,
    /// A version that is not known.
    #[error("unknown version {0}")]
    Version(i16),
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// A number that cannot be.
    #[error("negative or contradicting number")]
    Number,
}

/// The file's content.
#[must_use]
pub fn encode(producers: &Producers) -> Vec<u8> {
    let count = i32::try_from(producers.len()).expect("PRODUCERS_MAX is below 2^31");
    let mut body = Vec::with_capacity(4 + producers.len() * ENTRY_LEN);
    body.extend_from_slice(&count.to_be_bytes());
    for (id, producer) in producers.iter() {
        let last = producer.batches.back();
        let delta = last.map_or(0, |b| b.last_offset.raw() - b.first_offset.raw());
        let delta = i32::try_from(delta).unwrap_or(0);
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&producer.epoch.to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |b| b.last_sequence).to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |b| b.last_offset.raw()).to_be_bytes());
        body.extend_from_slice(&delta.to_be_bytes());
        body.extend_from_slice(&producer.last_timestamp_ms.to_be_bytes());
        body.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        let start = producer.transaction_start.map_or(-1, Offset::raw);
        body.extend_from_slice(&start.to_be_bytes());
    }
    let mut file = Vec::with_capacity(HEAD_LEN + body.len());
    file.extend_from_slice(&VERSION.to_be_bytes());
    file.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    file.extend_from_slice(&body);
    file
}

/// Reads the file's content.
pub fn decode(file: &[u8]) -> Result<Producers, MalformedSnapshot> {
    let mut fields = Fields { rest: file };
    let version = fields.i16()?;
    if version != VERSION {
        return Err(MalformedSnapshot::Version(version));
    }
    let checksum = fields.take::<4>().map(u32::from_be_bytes)?;
    if crc32c::crc32c(fields.rest) != checksum {
        return Err(MalformedSnapshot::Checksum);
    }
    let count = usize::try_from(fields.i32()?).map_err(|_| MalformedSnapshot::Number)?;
    if fields.rest.len() != count.saturating_mul(ENTRY_LEN) {
        return Err(MalformedSnapshot::Length);
    }
    let mut producers = Producers::default();
    for _ in 0..count {
        let (id, producer) = entry(&mut fields)?;
        producers.insert(id, producer);
    }
    Ok(producers)
}

fn entry(fields: &mut Fields<'_>) -> Result<(i64, Producer), MalformedSnapshot> {
    let id = fields.i64()?;
    let epoch = fields.i16()?;
    let last_sequence = fields.i32()?;
    let last_offset = fields.i64()?;
    let delta = fields.i32()?;
    let last_timestamp_ms = fields.i64()?;
    let coordinator_epoch = fields.i32()?;
    let transaction_start = Offset::new(fields.i64()?);
    let mut batches = VecDeque::new();
    if 0 <= last_sequence {
        let first = last_offset.checked_sub(i64::from(delta));
        let (Some(last_offset), Some(first_offset)) =
            (Offset::new(last_offset), first.and_then(Offset::new))
        else {
            return Err(MalformedSnapshot::Number);
        };
        if delta < 0 {
            return Err(MalformedSnapshot::Number);
        }
        batches.push_back(AppendedBatch {
            first_sequence: sequence_after(last_sequence, -delta),
            last_sequence,
            first_offset,
            last_offset,
            timestamp_ms: last_timestamp_ms,
        });
    }
    let producer =
        Producer { epoch, last_timestamp_ms, coordinator_epoch, transaction_start, batches };
    Ok((id, producer))
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MalformedSnapshot> {
        let (field, rest) = self.rest.split_first_chunk::<N>().ok_or(MalformedSnapshot::Length)?;
        self.rest = rest;
        Ok(*field)
    }

    fn i16(&mut self) -> Result<i16, MalformedSnapshot> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, MalformedSnapshot> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, MalformedSnapshot> {
        self.take().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Producers {
        let at = |raw| Offset::new(raw).unwrap();
        let mut producers = Producers::default();
        let batch = AppendedBatch {
            first_sequence: 7,
            last_sequence: 9,
            first_offset: at(100),
            last_offset: at(102),
            timestamp_ms: 5,
        };
        let producer = Producer {
            epoch: 1,
            last_timestamp_ms: 5,
            coordinator_epoch: -1,
            transaction_start: None,
            batches: VecDeque::from([batch]),
        };
        producers.insert(4000, producer.clone());
        let open =
            Producer { transaction_start: Some(at(3)), batches: VecDeque::new(), ..producer };
        producers.insert(4001, open);
        producers
    }

    #[test]
    fn it_reads_back() {
        let file = encode(&two());
        assert_eq!(file.len(), HEAD_LEN + 4 + 2 * ENTRY_LEN);
        assert_eq!(decode(&file), Ok(two()));
    }

    #[test]
    fn any_cut_or_flipped_byte_is_refused() {
        let file = encode(&two());
        for len in 0..file.len() {
            assert!(decode(&file[..len]).is_err(), "cut at {len}");
        }
        for at in 0..file.len() {
            let mut bad = file.clone();
            bad[at] ^= 0x40;
            assert!(decode(&bad).is_err(), "flip at {at}");
        }
    }
}
