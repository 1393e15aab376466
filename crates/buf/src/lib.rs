#![doc = include_str!("../README.md")]

mod block;
mod buffer;
mod chunk;
mod free;
mod pool;
mod sealed;

pub use buffer::Buffer;
pub use chunk::Chunk;
pub use pool::{COLLECT_BLOCKS_MAX, COLLECT_FREED_MAX_BYTES, Charge, OverBudget, Pool};
pub use sealed::Sealed;

/// Alignment of every block, and the unit of direct I/O, in bytes.
pub const PAGE: usize = 4096;

/// `len` rounded up to whole pages.
#[must_use]
pub const fn page_up(len: usize) -> usize {
    len.div_ceil(PAGE) * PAGE
}

/// `position` rounded down to the start of its page.
#[must_use]
pub const fn page_down(position: u64) -> u64 {
    position - position % PAGE as u64
}
