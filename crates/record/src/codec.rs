//! Compressing the records of a batch, and taking them apart again within a bound.
//!
//! What comes in is hostile: 64 KiB can claim, or really be, gigabytes. Every reader here is told
//! the most that it may put out, never allocates more than about that (what it reserves before it
//! has seen the data is bounded by what so few bytes can become), and says so when there is more.
//! Readers refuse what Kafka's Java client or librdkafka could not read, because a consumer would
//! be stuck on it.

mod gzip;
mod lz4;
mod snappy;
mod xxhash;
mod zstd;

use std::ops::RangeInclusive;

use crate::Codec;

/// The compressed records cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// There is more in them than allowed.
    #[error("more than {max_bytes} bytes when decompressed")]
    TooLarge {
        /// What was allowed.
        max_bytes: usize,
    },
    /// They are not what the codec writes.
    #[error("malformed {} data: {what}", codec.name())]
    Malformed {
        /// The codec.
        codec: Codec,
        /// What is wrong with them.
        what: &'static str,
    },
}

impl Codec {
    /// The levels that Kafka's configs take for this codec, `None` if it has none. Gzip knows -1
    /// too, which is its default.
    #[must_use]
    pub const fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Codec::None | Codec::Snappy => None,
            Codec::Gzip => Some(1..=9),
            Codec::Lz4 => Some(1..=17),
            Codec::Zstd => Some(-131_072..=22),
        }
    }

    /// The level that Kafka's configs default to.
    #[must_use]
    pub const fn default_level(self) -> Option<i32> {
        match self {
            Codec::None | Codec::Snappy => None,
            Codec::Gzip => Some(-1),
            Codec::Lz4 => Some(9),
            Codec::Zstd => Some(3),
        }
    }
}

/// Compresses `bytes` as Kafka's Java client frames it. `level` as in Kafka's topic configs, held
/// to the codec's range; `None` is the default. Lz4 has one speed here whatever its level.
#[must_use]
pub fn compress(codec: Codec, level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => bytes.to_vec(),
        Codec::Gzip => gzip::compress(level, bytes),
        Codec::Snappy => snappy::compress(bytes),
        Codec::Lz4 => lz4::compress(bytes),
        Codec::Zstd => zstd::compress(level, bytes),
    }
}

/// What `bytes` were before they were compressed, if that is at most `max_bytes` long.
pub fn decompress(
    codec: Codec,
    bytes: &[u8],
    max_bytes: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    decompress_into(codec, bytes, max_bytes, &mut out)?;
    Ok(out)
}

/// As [`decompress`], into a buffer whose memory is used again. What was in `out` goes; after an
/// error it holds nothing of use.
pub fn decompress_into(
    codec: Codec,
    bytes: &[u8],
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.clear();
    match codec {
        Codec::None if max_bytes < bytes.len() => Err(DecompressError::TooLarge { max_bytes }),
        Codec::None => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        Codec::Gzip => gzip::decompress(bytes, max_bytes, out),
        Codec::Snappy => snappy::decompress(bytes, max_bytes, out),
        Codec::Lz4 => lz4::decompress(bytes, max_bytes, out),
        Codec::Zstd => zstd::decompress(bytes, max_bytes, out),
    }
}

#[cfg(test)]
mod tests;
