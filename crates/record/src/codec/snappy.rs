//! Snappy, in the two shapes that producers send: raw (one block, librdkafka) and in the framing of
//! xerial's snappy-java (every Java client), which is what is written here.
//!
//! ```text
//! 82 'S' 'N' 'A' 'P' 'P' 'Y' 00 | version i32 = 1 | compatible with i32 = 1 | blocks
//! block: length i32 | raw snappy                                    (big endian)
//! ```

use super::DecompressError;
use crate::Codec;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const VERSION: [u8; 4] = 1_i32.to_be_bytes();
const FRAME_HEADER_LEN: usize = 16;
/// What one block holds before compression, as in snappy-java.
const BLOCK_BYTES: usize = 32 * 1024;
/// Snappy's best: a copy of 64 bytes in three bytes.
const RATIO_MAX: usize = 22;

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = Vec::with_capacity(FRAME_HEADER_LEN + bytes.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION);
    out.extend_from_slice(&VERSION);
    for block in bytes.chunks(BLOCK_BYTES) {
        let begin = out.len() + 4;
        out.resize(begin + snap::raw::max_compress_len(block.len()), 0);
        let len = encoder.compress(block, &mut out[begin..]).expect("there is room for the worst");
        out.truncate(begin + len);
        let len = u32::try_from(len).expect("a block is about 32 KiB");
        out[begin - 4..begin].copy_from_slice(&len.to_be_bytes());
    }
    out
}

pub(super) fn decompress(
    bytes: &[u8],
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    if !bytes.starts_with(&MAGIC) {
        return block(bytes, max_bytes, out);
    }
    let (_, mut rest) = bytes.split_at_checked(FRAME_HEADER_LEN).ok_or(malformed("no header"))?;
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk().ok_or(malformed("no block length"))?;
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let (data, behind) = behind.split_at_checked(len).ok_or(malformed("a cut-off block"))?;
        block(data, max_bytes, out)?;
        rest = behind;
    }
    Ok(())
}

/// Appends one raw block. What it claims to hold is checked before that much is allocated.
fn block(data: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let len = snap::raw::decompress_len(data).map_err(|_| malformed("no length"))?;
    if max_bytes - out.len() < len {
        return Err(DecompressError::TooLarge { max_bytes });
    }
    if data.len().saturating_mul(RATIO_MAX) < len {
        return Err(malformed("a claimed length that it cannot have"));
    }
    let begin = out.len();
    out.resize(begin + len, 0);
    let done = snap::raw::Decoder::new().decompress(data, &mut out[begin..]);
    if done.is_ok_and(|n| n == len) { Ok(()) } else { Err(malformed("a bad block")) }
}

const fn malformed(what: &'static str) -> DecompressError {
    DecompressError::Malformed { codec: Codec::Snappy, what }
}
