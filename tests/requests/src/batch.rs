//! Record batches (version 2) made by hand, from Kafka's `DefaultRecordBatch`.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the checksum begins to count: at the attributes.
pub(crate) const CHECKED_FROM: usize = 21;

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kafka's names say it")]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// Those that compress.
    pub const ALL: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Its number in the attributes.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// The value of `compression.type` that asks for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "uncompressed",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// Compresses as a client does; snappy as one raw block, as librdkafka does.
    ///
    /// # Panics
    /// When a compressor fails, which none does on memory.
    #[must_use]
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Codec::None => bytes.to_vec(),
            Codec::Gzip => {
                let level = flate2::Compression::default();
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
                writer.write_all(bytes).expect("memory takes everything");
                writer.finish().expect("memory takes everything")
            }
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(bytes).expect("below 4 GiB"),
            Codec::Lz4 => {
                let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
                writer.write_all(bytes).expect("memory takes everything");
                writer.finish().expect("memory takes everything")
            }
            Codec::Zstd => zstd::encode_all(bytes, 3).expect("memory takes everything"),
        }
    }
}

/// What a stream of Java's snappy library begins with: magic, version 1, compatible with 1.
pub(crate) const XERIAL: [u8; 16] =
    [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];

/// Snappy as Java frames it, in small blocks.
fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut framed = XERIAL.to_vec();
    for block in bytes.chunks(1_000) {
        let block = Codec::Snappy.compress(block);
        framed.extend(i32::try_from(block.len()).expect("small").to_be_bytes());
        framed.extend(block);
    }
    framed
}

/// The time now, in milliseconds as record batches have it.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What a batch says; the fields may be set to anything.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Each record's value; keys are null.
    pub values: Vec<Vec<u8>>,
    /// Each record's timestamp is this.
    pub timestamp_ms: i64,
    /// Producer id, epoch and first sequence.
    pub producer: (i64, i16, i32),
    /// Codec of the records.
    pub codec: Codec,
    /// Snappy in Java's framing, not as one raw block.
    pub xerial: bool,
    /// Flags beside the codec.
    pub flags: u16,
    /// Version.
    pub magic: u8,
    /// Offset of the first record.
    pub base_offset: i64,
}

impl Batch {
    /// Records with these values, of now, without a producer.
    #[must_use]
    pub fn of<V: AsRef<[u8]>>(values: &[V]) -> Batch {
        Batch {
            values: values.iter().map(|value| value.as_ref().to_vec()).collect(),
            timestamp_ms: now_ms(),
            producer: (-1, -1, -1),
            codec: Codec::None,
            xerial: false,
            flags: 0,
            magic: 2,
            base_offset: 0,
        }
    }

    /// One record of so many bytes.
    #[must_use]
    pub fn sized(bytes: usize) -> Batch {
        Batch::of(&[vec![b'x'; bytes]])
    }

    /// The same from an idempotent producer.
    #[must_use]
    pub fn from(self, id: i64, epoch: i16, sequence: i32) -> Batch {
        Batch { producer: (id, epoch, sequence), ..self }
    }

    /// The same with this timestamp.
    #[must_use]
    pub fn at(self, timestamp_ms: i64) -> Batch {
        Batch { timestamp_ms, ..self }
    }

    /// The same compressed.
    #[must_use]
    pub fn squeezed(self, codec: Codec) -> Batch {
        Batch { codec, ..self }
    }

    /// The bytes.
    ///
    /// # Panics
    /// With more records or bytes than fit in a batch.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut records = Vec::new();
        for (delta, value) in (0..).zip(&self.values) {
            let mut body = vec![0, 0];
            body.extend(varint(delta));
            body.extend(varint(-1));
            body.extend(varint(i64::try_from(value.len()).expect("small")));
            body.extend(value);
            body.push(0);
            records.extend(varint(i64::try_from(body.len()).expect("small")));
            records.extend(body);
        }
        let records = if self.xerial { xerial(&records) } else { self.codec.compress(&records) };
        let count = i32::try_from(self.values.len()).expect("small");
        let mut bytes = self.base_offset.to_be_bytes().to_vec();
        bytes.extend(i32::try_from(49 + records.len()).expect("below 2 GiB").to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        bytes.push(self.magic);
        bytes.extend([0; 4]);
        bytes.extend((self.codec.number() | self.flags).to_be_bytes());
        bytes.extend((count - 1).to_be_bytes());
        bytes.extend(self.timestamp_ms.to_be_bytes());
        bytes.extend(self.timestamp_ms.to_be_bytes());
        bytes.extend(self.producer.0.to_be_bytes());
        bytes.extend(self.producer.1.to_be_bytes());
        bytes.extend(self.producer.2.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(records);
        let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
        bytes[17..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

/// A signed number as record fields have it.
fn varint(value: i64) -> Vec<u8> {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(left & 0x7f).expect("seven bits");
        left >>= 7;
        if left == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_back;

    #[test]
    fn what_is_made_is_read_back_in_every_codec() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let batch = Batch::of(&["one", "two"]).from(7, 1, 4).at(99).squeezed(codec);
            let stored = read_back(&batch.bytes()).expect("it is a batch");
            assert_eq!(stored.len(), 1);
            assert_eq!(stored[0].values(), ["one", "two"]);
            assert_eq!((stored[0].producer, stored[0].codec), ((7, 1, 4), codec));
            assert!(stored[0].records.iter().all(|record| record.timestamp_ms == 99));
        }
    }
}
