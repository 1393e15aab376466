//! Zstandard, RFC 8878. Frames behind one another are one stream, skippable ones are skipped.
//!
//! Streaming producers leave out the content size, hostile ones lie about it. What a frame can hold
//! at most follows from its block headers, which are few: they are walked first, and the data are
//! decompressed at one go into a buffer of that size, or of the allowed size if that is less. No
//! window is ever allocated, however large a frame says that it is.

use std::cell::RefCell;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound};

use super::DecompressError;
use crate::Codec;

const MAGIC: u32 = 0xFD2F_B528;
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;
const SKIPPABLE_MASK: u32 = 0xFFFF_FFF0;
const BLOCK_BYTES_MAX: usize = 128 * 1024;
/// zstd's number for "destination buffer is too small"; its functions return it negated.
const DESTINATION_TOO_SMALL: usize = 0_usize.wrapping_sub(70);
/// A context that grew beyond this (the highest levels do) is not kept.
const KEPT_CONTEXT_BYTES: usize = 8 << 20;

thread_local! {
    // A fresh context costs more than a small batch; a used one gives the same bytes.
    static COMPRESS: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
    static DECOMPRESS: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

pub(super) fn compress(level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|kept| {
        let context = kept.get_or_insert_with(CCtx::create);
        let level = level.unwrap_or(3).clamp(-131_072, 22);
        let set = context.set_parameter(CParameter::CompressionLevel(level));
        set.expect("the level is within zstd's range");
        let mut out = Vec::with_capacity(compress_bound(bytes.len()));
        context.compress2(&mut out, bytes).expect("there is room for the worst");
        if KEPT_CONTEXT_BYTES < context.sizeof() {
            *kept = None;
        }
        out
    })
}

pub(super) fn decompress(
    bytes: &[u8],
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let bound = bound(bytes).ok_or(malformed("no whole frames"))?;
    out.reserve_exact(bound.min(max_bytes));
    let done = DECOMPRESS
        .with_borrow_mut(|kept| kept.get_or_insert_with(DCtx::create).decompress(out, bytes));
    match done {
        // The buffer may have had more room, from an earlier use, than is allowed now.
        Ok(len) if len <= max_bytes => Ok(()),
        Ok(_) => Err(DecompressError::TooLarge { max_bytes }),
        Err(DESTINATION_TOO_SMALL) if max_bytes < bound => {
            Err(DecompressError::TooLarge { max_bytes })
        }
        Err(_) => Err(malformed("a bad frame")),
    }
}

/// How much the frames in `bytes` hold at most. `None` if they are cut off or no frames.
fn bound(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let mut bound = 0_usize;
    while !rest.is_empty() {
        let magic = u32::from_le_bytes(*take(&mut rest)?);
        if magic & SKIPPABLE_MASK == SKIPPABLE_MAGIC {
            let len = u32::from_le_bytes(*take(&mut rest)?);
            rest = rest.split_at_checked(usize::try_from(len).ok()?)?.1;
        } else if magic == MAGIC {
            bound = bound.saturating_add(frame_bound(&mut rest)?);
        } else {
            return None;
        }
    }
    Some(bound)
}

/// Takes a frame without its magic number off `rest`. What it claims counts only where it is less
/// than what its blocks can hold.
fn frame_bound(rest: &mut &[u8]) -> Option<usize> {
    let [descriptor] = *take(rest)?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        take::<1>(rest)?;
    }
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    *rest = rest.split_at_checked(dictionary_len)?.1;
    let claim = match descriptor >> 6 {
        0 if single_segment => u64::from(take::<1>(rest)?[0]),
        0 => u64::MAX,
        1 => u64::from(u16::from_le_bytes(*take(rest)?)) + 256,
        2 => u64::from(u32::from_le_bytes(*take(rest)?)),
        _ => u64::from_le_bytes(*take(rest)?),
    };
    let mut bound = 0_usize;
    loop {
        let [a, b, c] = *take(rest)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let len = usize::try_from(header >> 3).ok()?;
        let (stored, holds) = match header >> 1 & 3 {
            0 => (len, len),
            1 => (1, len),
            2 => (len, BLOCK_BYTES_MAX),
            _ => return None,
        };
        *rest = rest.split_at_checked(stored)?.1;
        bound = bound.saturating_add(holds);
        if header & 1 != 0 {
            break;
        }
    }
    if descriptor & 4 != 0 {
        take::<4>(rest)?;
    }
    Some(usize::try_from(claim).map_or(bound, |claim| claim.min(bound)))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (front, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(front)
}

const fn malformed(what: &'static str) -> DecompressError {
    DecompressError::Malformed { codec: Codec::Zstd, what }
}
