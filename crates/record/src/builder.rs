//! Building a batch, record by record.

use crate::layout::HEADER_LEN;
use crate::{Attributes, Codec, Header, Offset, TimestampType, codec, varint, write_crc};

/// One header of a record. Keys may repeat; their order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// The key, by Kafka's rule UTF-8; nobody checks.
    pub key: &'a [u8],
    /// The value or null.
    pub value: Option<&'a [u8]>,
}

/// Builds one batch. The records get the offset deltas 0, 1, 2 and so on unless
/// [`Builder::offset_delta`] says otherwise; the first one's timestamp is the base timestamp unless
/// there is a delete horizon.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    header: Header,
    codec: Codec,
    level: Option<i32>,
    next_delta: i32,
}

impl Builder {
    /// An empty batch at offset 0 whose records `codec` will compress.
    #[must_use]
    pub fn new(codec: Codec) -> Builder {
        let header = Header {
            base_offset: Offset::ZERO,
            len: HEADER_LEN,
            leader_epoch: -1,
            crc: 0,
            attributes: Attributes::default().with_codec(codec),
            last_offset_delta: 0,
            base_timestamp_ms: -1,
            max_timestamp_ms: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records: 0,
        };
        Builder { bytes: vec![0; HEADER_LEN], header, codec, level: None, next_delta: 0 }
    }

    /// Sets the level of the codec; without it, Kafka's default.
    pub fn level(&mut self, level: i32) -> &mut Builder {
        self.level = Some(level);
        self
    }

    /// Sets the offset of delta 0.
    pub fn base_offset(&mut self, base: Offset) -> &mut Builder {
        self.header.base_offset = base;
        self
    }

    /// Sets the leader epoch, which is -1 otherwise.
    pub fn leader_epoch(&mut self, raw: i32) -> &mut Builder {
        self.header.leader_epoch = raw;
        self
    }

    /// Makes it the batch of an idempotent producer; `base_sequence` is that of the first record.
    pub fn producer(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Builder {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes it part of a transaction.
    pub fn transactional(&mut self) -> &mut Builder {
        self.header.attributes = self.header.attributes.with_transactional(true);
        self
    }

    /// Makes it a control batch.
    pub fn control(&mut self) -> &mut Builder {
        self.header.attributes = self.header.attributes.with_control(true);
        self
    }

    /// Gives all records the broker's time instead of their own; call it after the last record.
    pub fn log_append_time(&mut self, now_ms: i64) -> &mut Builder {
        let attributes = self.header.attributes;
        self.header.attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp_ms = now_ms;
        self
    }

    /// Puts a delete horizon in the place of the base timestamp; call it before the first record.
    pub fn delete_horizon(&mut self, horizon_ms: i64) -> &mut Builder {
        self.header.attributes = self.header.attributes.with_delete_horizon(true);
        self.header.base_timestamp_ms = horizon_ms;
        self
    }

    /// Sets the offset delta of the next record: compaction leaves gaps.
    pub fn offset_delta(&mut self, delta: i32) -> &mut Builder {
        self.next_delta = delta;
        self
    }

    /// Sets the last offset delta of the batch, which compaction keeps though the last record went;
    /// call it after the last record.
    pub fn last_offset_delta(&mut self, delta: i32) -> &mut Builder {
        self.header.last_offset_delta = delta;
        self
    }

    /// Appends a record. `None` is null: a null value makes a tombstone.
    pub fn record(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) -> &mut Builder {
        let header = &mut self.header;
        if header.records == 0 && !header.has_delete_horizon() {
            header.base_timestamp_ms = timestamp_ms;
        }
        if header.records == 0 || header.max_timestamp_ms < timestamp_ms {
            header.max_timestamp_ms = timestamp_ms;
        }
        // Deltas wrap on both sides, so that every pair of timestamps is read back.
        let timestamp_delta = timestamp_ms.wrapping_sub(header.base_timestamp_ms);
        header.records += 1;
        header.last_offset_delta = self.next_delta;
        let body_len = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i32(self.next_delta)
            + nullable_len(key)
            + nullable_len(value)
            + varint::len_i32(count(headers.len()))
            + headers
                .iter()
                .map(|h| nullable_len(Some(h.key)) + nullable_len(h.value))
                .sum::<usize>();
        let out = &mut self.bytes;
        out.reserve(body_len + 5);
        varint::put_i32(out, count(body_len));
        out.push(0);
        varint::put_i64(out, timestamp_delta);
        varint::put_i32(out, self.next_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        varint::put_i32(out, count(headers.len()));
        for header in headers {
            put_nullable(out, Some(header.key));
            put_nullable(out, header.value);
        }
        self.next_delta = self.next_delta.saturating_add(1);
        self
    }

    /// Number of records so far.
    #[must_use]
    pub const fn records(&self) -> i32 {
        self.header.records
    }

    /// Length of the batch so far in bytes, not compressed.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The finished batch, its checksum right.
    ///
    /// # Panics
    ///
    /// If the batch would be longer than 2^31-1 bytes: whoever builds one keeps far below.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        let Builder { bytes, mut header, codec, level, .. } = self;
        let mut batch = match codec {
            Codec::None => bytes,
            _ => [&[0; HEADER_LEN][..], &codec::compress(codec, level, &bytes[HEADER_LEN..])]
                .concat(),
        };
        header.len = batch.len();
        header.write(&mut batch);
        write_crc(&mut batch);
        batch
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).expect("a batch is shorter than 2 GiB")
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len_i32(count(bytes.len())) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            varint::put_i32(out, count(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}
