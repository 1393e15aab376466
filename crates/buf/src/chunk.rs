//! A block that grows at its end while views of its beginning are read.

use std::ops::Range;
use std::sync::Arc;

use crate::Sealed;
use crate::block::Block;

/// Append-only memory. Bytes below [`frozen`](Chunk::frozen) never change and may be lent as
/// [`Sealed`] views; bytes from there to [`len`](Chunk::len) may still be patched by the owner.
#[derive(Debug)]
pub struct Chunk {
    block: Arc<Block>,
    len: usize,
    frozen: usize,
}

impl Chunk {
    pub(crate) fn new(block: Block) -> Chunk {
        Chunk { block: Arc::new(block), len: 0, frozen: 0 }
    }

    /// Bytes the chunk can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.block.capacity()
    }

    /// Bytes appended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that will never change again.
    #[must_use]
    pub fn frozen(&self) -> usize {
        self.frozen
    }

    /// Bytes that can still be appended.
    #[must_use]
    pub fn free(&self) -> usize {
        self.capacity() - self.len
    }

    /// Copies `bytes` to the end and says where; `None`, and nothing changes, if they do not fit.
    pub fn append(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        if self.free() < bytes.len() {
            return None;
        }
        let at = self.len;
        // SAFETY: `[len, len + bytes.len())` lies inside the block; it is above `frozen`, so no
        // view covers it, and `&mut self` makes this the only writer. `bytes` cannot overlap it:
        // no reference to unfrozen bytes outlives `unfrozen_mut`.
        #[expect(unsafe_code, reason = "writes beyond every view")]
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.block.start().add(at), bytes.len());
        }
        self.block.count_copy(bytes.len());
        self.len += bytes.len();
        Some(at..self.len)
    }

    /// The bytes appended and not frozen, to patch.
    #[must_use]
    pub fn unfrozen_mut(&mut self) -> &mut [u8] {
        // SAFETY: `[frozen, len)` lies inside the block and no view covers it (`seal` lends
        // frozen bytes only); `&mut self` makes this the only reference.
        #[expect(unsafe_code, reason = "bytes above every view")]
        unsafe {
            std::slice::from_raw_parts_mut(
                self.block.start().add(self.frozen),
                self.len - self.frozen,
            )
        }
    }

    /// Freezes everything appended so far.
    pub fn freeze(&mut self) {
        self.frozen = self.len;
    }

    /// Freezes everything appended so far and lends `range` of it.
    ///
    /// # Panics
    /// If `range` is inverted or ends beyond [`len`](Chunk::len).
    #[must_use]
    pub fn seal(&mut self, range: Range<usize>) -> Sealed {
        self.freeze();
        self.lend(range)
    }

    /// Lends `range` of the frozen bytes.
    ///
    /// # Panics
    /// If `range` is inverted or ends beyond [`frozen`](Chunk::frozen).
    #[must_use]
    pub fn lend(&self, range: Range<usize>) -> Sealed {
        assert!(range.start <= range.end && range.end <= self.frozen, "lend of {range:?}");
        Sealed::of_block(Arc::clone(&self.block), range.start, range.end - range.start)
    }
}

#[cfg(test)]
mod tests {
    use crate::Pool;

    #[test]
    fn views_stay_while_the_chunk_grows() {
        let pool = Pool::new(0, 1 << 20);
        let mut chunk = pool.chunk(4096).unwrap();
        let place = chunk.append(b"....abcd").unwrap();
        chunk.unfrozen_mut()[..4].copy_from_slice(b"1234");
        let view = chunk.seal(place);
        let more = chunk.append(b"efgh").unwrap();
        assert_eq!(more, 8..12);
        assert_eq!(chunk.unfrozen_mut(), b"efgh");
        assert_eq!(&view[..], b"1234abcd");
        assert_eq!(&view.slice(4..8)[..], b"abcd");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let pool = Pool::new(0, 1 << 20);
        let mut chunk = pool.chunk(4096).unwrap();
        chunk.append(&[7; 4000]).unwrap();
        assert!(chunk.append(&[8; 97]).is_none());
        assert_eq!(chunk.len(), 4000);
        assert_eq!(chunk.append(&[8; 96]), Some(4000..4096));
    }

    #[test]
    #[should_panic(expected = "lend of")]
    fn unfrozen_bytes_cannot_be_lent() {
        let pool = Pool::new(0, 1 << 20);
        let mut chunk = pool.chunk(4096).unwrap();
        chunk.append(b"abc").unwrap();
        let _ = chunk.lend(0..3);
    }
}
