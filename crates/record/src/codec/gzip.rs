//! Gzip, RFC 1952. Members behind one another are one stream, as for Java.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::DecompressError;
use crate::Codec;

/// Deflate's best: a match of 258 bytes in two bits.
const RATIO_MAX: usize = 1032;
const PIECE_BYTES_MIN: usize = 4096;

pub(super) fn compress(level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
    let level = match level.and_then(|level| u32::try_from(level).ok()) {
        Some(level) => Compression::new(level.clamp(1, 9)),
        None => Compression::default(),
    };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    let done = encoder.write_all(bytes).and_then(|()| encoder.finish());
    done.expect("nothing fails when a vector is written")
}

pub(super) fn decompress(
    bytes: &[u8],
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let malformed = DecompressError::Malformed { codec: Codec::Gzip, what: "no whole gzip stream" };
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut piece_bytes = expected_bytes(bytes).max(PIECE_BYTES_MIN);
    loop {
        let (begin, len) = (out.len(), piece_bytes.min(max_bytes - out.len()));
        out.resize(begin + len, 0);
        let read = read_full(&mut decoder, &mut out[begin..]).ok_or(malformed)?;
        if read < len {
            out.truncate(begin + read);
            return Ok(());
        }
        if out.len() == max_bytes {
            // Only the end may follow; to see it also checks the member's checksum.
            return match read_full(&mut decoder, &mut [0]).ok_or(malformed)? {
                0 => Ok(()),
                _ => Err(DecompressError::TooLarge { max_bytes }),
            };
        }
        piece_bytes = out.len();
    }
}

/// What the last member's trailer claims its length to be, held to what is possible, and one more
/// so that an honest stream is over within the first piece.
fn expected_bytes(bytes: &[u8]) -> usize {
    let claim = bytes.last_chunk().map_or(0, |trailer| u32::from_le_bytes(*trailer));
    let possible = bytes.len().saturating_mul(RATIO_MAX);
    usize::try_from(claim).map_or(possible, |claim| claim.min(possible)) + 1
}

/// Fills `piece` as far as the stream goes: less than all of it is the end.
fn read_full(from: &mut impl Read, piece: &mut [u8]) -> Option<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]).ok()? {
            0 => break,
            n => filled += n,
        }
    }
    Some(filled)
}
