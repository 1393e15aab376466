//! A block with one owner.

use std::sync::Arc;

use crate::Sealed;
use crate::block::Block;

/// Page-aligned memory with one owner, who may write all of it, and who may turn it into a
/// [`Sealed`] view once.
#[derive(Debug)]
pub struct Buffer {
    block: Block,
}

impl Buffer {
    pub(crate) fn new(block: Block) -> Buffer {
        Buffer { block }
    }

    /// Bytes of the buffer, a multiple of [`crate::PAGE`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.block.capacity()
    }

    /// Bytes to which [`crate::Pool::grow`] can bring the buffer; its capacity if it cannot grow.
    #[must_use]
    pub fn most(&self) -> usize {
        self.block.most()
    }

    pub(crate) fn block_mut(&mut self) -> &mut Block {
        &mut self.block
    }

    /// All bytes of the buffer.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the block is initialised memory of this capacity, and `&self` rules out a
        // writer: only `as_mut_slice` writes.
        #[expect(unsafe_code, reason = "view of the owned block")]
        unsafe {
            std::slice::from_raw_parts(self.block.start(), self.block.capacity())
        }
    }

    /// All bytes of the buffer, to write.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and `&mut self` makes this the only view.
        #[expect(unsafe_code, reason = "view of the owned block")]
        unsafe {
            std::slice::from_raw_parts_mut(self.block.start(), self.block.capacity())
        }
    }

    /// Copies `bytes` in, to `at` and behind.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn copy_in(&mut self, at: usize, bytes: &[u8]) {
        self.as_mut_slice()[at..at + bytes.len()].copy_from_slice(bytes);
        self.block.count_copy(bytes.len());
    }

    /// Gives up writing for good: a view of the first `len` bytes.
    ///
    /// # Panics
    /// If `len` is beyond the capacity.
    #[must_use]
    pub fn seal(self, len: usize) -> Sealed {
        assert!(len <= self.capacity(), "seal of {len} beyond {}", self.capacity());
        Sealed::of_block(Arc::new(self.block), 0, len)
    }
}
