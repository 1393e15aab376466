//! Record batches by hand, right or wrong.

use std::io::Write;

/// Where the checksum begins to count: at the attributes.
const CHECKED_FROM: usize = 21;

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// 1.
    Gzip,
    /// 2: one raw block.
    Snappy,
    /// 3: frame format.
    Lz4,
    /// 4.
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Its number in the attributes.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// Compresses `head` and then `zeros` zeros, without holding them.
    ///
    /// # Panics
    /// When a compressor fails, which none does on memory.
    #[must_use]
    pub fn compress(self, head: &[u8], zeros: usize) -> Vec<u8> {
        match self {
            Codec::Gzip => {
                let level = flate2::Compression::best();
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
                feed(&mut writer, head, zeros);
                writer.finish().expect("memory takes everything")
            }
            Codec::Snappy => {
                let mut all = head.to_vec();
                all.resize(head.len() + zeros, 0);
                snap::raw::Encoder::new().compress_vec(&all).expect("below 4 GiB")
            }
            Codec::Lz4 => {
                let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
                feed(&mut writer, head, zeros);
                writer.finish().expect("memory takes everything")
            }
            Codec::Zstd => {
                let mut writer = zstd::Encoder::new(Vec::new(), 3).expect("level 3 exists");
                feed(&mut writer, head, zeros);
                writer.finish().expect("memory takes everything")
            }
        }
    }
}

fn feed(writer: &mut impl Write, head: &[u8], mut zeros: usize) {
    writer.write_all(head).expect("memory takes everything");
    let piece = vec![0; 1 << 20];
    while 0 < zeros {
        let now = zeros.min(piece.len());
        writer.write_all(&piece[..now]).expect("memory takes everything");
        zeros -= now;
    }
}

/// A signed number as record fields have it.
#[must_use]
pub fn varint(value: i64) -> Vec<u8> {
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

/// What a batch says of itself; each field may be a lie.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Version.
    pub magic: u8,
    /// Codec and flags.
    pub attributes: u16,
    /// Last offset less the first.
    pub last_offset_delta: i32,
    /// Number of records.
    pub count: i32,
    /// Producer id.
    pub producer_id: i64,
    /// First sequence.
    pub base_sequence: i32,
    /// The bytes of the records, compressed as the attributes say.
    pub records: Vec<u8>,
    /// Added to the length field.
    pub length_off_by: i32,
    /// Added to the checksum.
    pub crc_off_by: u32,
}

impl Batch {
    /// A right batch with these values, uncompressed.
    ///
    /// # Panics
    /// With more values or bytes than a small test has.
    #[must_use]
    pub fn of(values: &[&[u8]]) -> Batch {
        let mut records = Vec::new();
        for (delta, value) in (0..).zip(values) {
            let length = i64::try_from(value.len()).expect("small");
            let mut body = vec![0];
            body.extend(varint(0));
            body.extend(varint(delta));
            body.extend(varint(-1));
            body.extend(varint(length));
            body.extend_from_slice(value);
            body.extend(varint(0));
            records.extend(varint(i64::try_from(body.len()).expect("small")));
            records.extend(body);
        }
        let count = i32::try_from(values.len()).expect("small");
        Batch {
            base_offset: 0,
            magic: 2,
            attributes: 0,
            last_offset_delta: count - 1,
            count,
            producer_id: -1,
            base_sequence: -1,
            records,
            length_off_by: 0,
            crc_off_by: 0,
        }
    }

    /// One record whose value is `zeros` zeros, compressed.
    ///
    /// # Panics
    /// With more zeros than a record can have.
    #[must_use]
    pub fn bomb(codec: Codec, zeros: usize) -> Batch {
        let value = i64::try_from(zeros).expect("a length");
        let mut head = vec![0];
        head.extend(varint(0));
        head.extend(varint(0));
        head.extend(varint(-1));
        head.extend(varint(value));
        // The number of headers is one more zero behind the value.
        let length = i64::try_from(head.len()).expect("small") + value + 1;
        let head = [varint(length), head].concat();
        let records = codec.compress(&head, zeros + 1);
        Batch { attributes: codec.number(), records, ..Batch::of(&[&[]]) }
    }

    /// The bytes.
    ///
    /// # Panics
    /// With more bytes of records than fit in a batch.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = i32::try_from(49 + self.records.len()).expect("a batch is below 2 GiB");
        let mut bytes = self.base_offset.to_be_bytes().to_vec();
        bytes.extend((length.wrapping_add(self.length_off_by)).to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        bytes.push(self.magic);
        bytes.extend([0; 4]);
        bytes.extend(self.attributes.to_be_bytes());
        bytes.extend(self.last_offset_delta.to_be_bytes());
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = now_ms.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
        bytes.extend(now_ms.to_be_bytes());
        bytes.extend(now_ms.to_be_bytes());
        bytes.extend(self.producer_id.to_be_bytes());
        bytes.extend((if self.producer_id < 0 { -1_i16 } else { 0 }).to_be_bytes());
        bytes.extend(self.base_sequence.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(&self.records);
        let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]).wrapping_add(self.crc_off_by);
        bytes[17..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_zigzag() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(-1), [1]);
        assert_eq!(varint(1), [2]);
        assert_eq!(varint(300), [0xd8, 4]);
    }

    #[test]
    fn a_bomb_is_small_outside() {
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
            let bytes = Batch::bomb(codec, 32 << 20).bytes();
            assert!(bytes.len() < 200 << 10, "{codec:?}: {}", bytes.len());
        }
    }
}
