//! LZ4 frames (LZ4 Frame Format 1.6), as far as Kafka's Java client goes: one frame of independent
//! blocks, without a dictionary. Written are 64 KiB blocks without checksums or content size.
//!
//! ```text
//! magic u32 = 184D2204 | FLG | BD | [content size u64] | header checksum | blocks | end u32 = 0
//! block: length u32, highest bit: stored as it is | data | [checksum u32]      (little endian)
//! behind the end: [content checksum u32]
//! ```

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use super::DecompressError;
use super::xxhash::xxh32;
use crate::Codec;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 0b0010_0000;
const BLOCK_CHECKSUM: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const FLG_UNREADABLE: u8 = 0b0000_0011;
const BD_RESERVED: u8 = 0b1000_1111;
const BLOCKS_OF_64_KIB: u8 = 4;
const STORED: u32 = 1 << 31;
const BLOCK_BYTES: usize = 64 * 1024;
/// LZ4's best: every byte of a match's length stands for 255 bytes.
const RATIO_MAX: usize = 255;
/// What is tried first: more than nearly every block is packed.
const LITTLE_RATIO: usize = 8;
const LITTLE_BLOCK_BYTES: usize = 1024;

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let descriptor = [VERSION_1 | INDEPENDENT_BLOCKS, BLOCKS_OF_64_KIB << 4];
    let mut out = Vec::with_capacity(16 + bytes.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    out.push(header_checksum(&descriptor));
    let mut table = CompressTable::default();
    for block in bytes.chunks(BLOCK_BYTES) {
        let begin = out.len() + 4;
        out.resize(begin + get_maximum_output_size(block.len()), 0);
        let packed = compress_into_with_table(block, &mut out[begin..], &mut table);
        let mut len = packed.expect("there is room for the worst");
        let mut stored = 0;
        if block.len() <= len {
            (len, stored) = (block.len(), STORED);
            out[begin..begin + len].copy_from_slice(block);
        }
        out.truncate(begin + len);
        let len = u32::try_from(len).expect("a block is at most 64 KiB");
        out[begin - 4..begin].copy_from_slice(&(len | stored).to_le_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out
}

pub(super) fn decompress(
    bytes: &[u8],
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let mut rest = bytes;
    let frame = Frame::read(&mut rest)?;
    loop {
        let word = take_u32(&mut rest)?;
        if word == 0 {
            break;
        }
        let len = usize::try_from(word & !STORED).unwrap_or(usize::MAX);
        if frame.block_bytes < len {
            return Err(malformed("a block larger than the frame allows"));
        }
        let (data, behind) = rest.split_at_checked(len).ok_or(malformed("a cut-off block"))?;
        rest = behind;
        if frame.block_checksums && take_u32(&mut rest)? != xxh32(data) {
            return Err(malformed("a block's checksum is wrong"));
        }
        if word & STORED == 0 {
            packed_block(data, frame.block_bytes, max_bytes, out)?;
        } else if max_bytes - out.len() < len {
            return Err(DecompressError::TooLarge { max_bytes });
        } else {
            out.extend_from_slice(data);
        }
    }
    if frame.content_checksum && take_u32(&mut rest)? != xxh32(out) {
        return Err(malformed("the content's checksum is wrong"));
    }
    if frame.content_bytes.is_some_and(|n| usize::try_from(n) != Ok(out.len())) {
        return Err(malformed("the content is not as long as claimed"));
    }
    if rest.is_empty() { Ok(()) } else { Err(malformed("bytes behind the frame")) }
}

/// Appends what one compressed block holds. Room is zeroed before it is filled, so little room is
/// tried first for a little block.
fn packed_block(
    data: &[u8],
    block_bytes: usize,
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let begin = out.len();
    let possible = block_bytes.min(data.len() * RATIO_MAX);
    let allowed = possible.min(max_bytes - begin);
    let tries = [allowed.min(LITTLE_BLOCK_BYTES.max(data.len() * LITTLE_RATIO)), allowed];
    for room in tries {
        out.resize(begin + room, 0);
        match decompress_into(data, &mut out[begin..]) {
            Ok(len) => {
                out.truncate(begin + len);
                return Ok(());
            }
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) => {}
            Err(_) => return Err(malformed("a bad block")),
        }
        out.truncate(begin);
    }
    if allowed < possible {
        Err(DecompressError::TooLarge { max_bytes })
    } else {
        Err(malformed("a block that holds more than the frame allows"))
    }
}

struct Frame {
    block_bytes: usize,
    block_checksums: bool,
    content_bytes: Option<u64>,
    content_checksum: bool,
}

impl Frame {
    /// Takes the frame's header off `rest`. Refuses what Kafka's Java client refuses.
    fn read(rest: &mut &[u8]) -> Result<Frame, DecompressError> {
        let begin = rest.strip_prefix(&MAGIC).ok_or(malformed("no frame"))?;
        let [flg, bd, ..] = *begin else { return Err(malformed("no frame descriptor")) };
        if flg & VERSION_MASK != VERSION_1 || flg & FLG_UNREADABLE != 0 || bd & BD_RESERVED != 0 {
            return Err(malformed("an unsupported frame"));
        }
        if flg & INDEPENDENT_BLOCKS == 0 {
            return Err(malformed("blocks that depend on one another"));
        }
        let block_bytes = match bd >> 4 {
            n @ 4..=7 => 1 << (8 + 2 * n),
            _ => return Err(malformed("an unknown block size")),
        };
        let descriptor_len = if flg & CONTENT_SIZE == 0 { 2 } else { 10 };
        let descriptor = begin.split_at_checked(descriptor_len);
        let (descriptor, behind) = descriptor.ok_or(malformed("no frame descriptor"))?;
        let (&checksum, behind) = behind.split_first().ok_or(malformed("no frame descriptor"))?;
        if checksum != header_checksum(descriptor) {
            return Err(malformed("the header's checksum is wrong"));
        }
        *rest = behind;
        Ok(Frame {
            block_bytes,
            block_checksums: flg & BLOCK_CHECKSUM != 0,
            content_bytes: descriptor[2..].first_chunk().map(|n| u64::from_le_bytes(*n)),
            content_checksum: flg & CONTENT_CHECKSUM != 0,
        })
    }
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    let [_, second, ..] = xxh32(descriptor).to_le_bytes();
    second
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, DecompressError> {
    let (word, behind) = rest.split_first_chunk().ok_or(malformed("no end of the frame"))?;
    *rest = behind;
    Ok(u32::from_le_bytes(*word))
}

const fn malformed(what: &'static str) -> DecompressError {
    DecompressError::Malformed { codec: Codec::Lz4, what }
}
