//! A view that nobody writes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::block::Block;

/// Immutable bytes of a block, or of a constant. `Send`, cheap to clone, and there is no way
/// back to writing. Dropping the last view of a block returns its memory to its origin.
#[derive(Clone)]
pub struct Sealed {
    bytes: Source,
    at: usize,
    len: usize,
}

#[derive(Clone)]
enum Source {
    Block(Arc<Block>),
    Static(&'static [u8]),
}

impl Sealed {
    /// No bytes.
    pub const EMPTY: Sealed = Sealed::of_static(b"");

    /// A view of a constant.
    #[must_use]
    pub const fn of_static(bytes: &'static [u8]) -> Sealed {
        Sealed { bytes: Source::Static(bytes), at: 0, len: bytes.len() }
    }

    /// `[at, at + len)` must be bytes of `block` that nobody will write again.
    pub(crate) fn of_block(block: Arc<Block>, at: usize, len: usize) -> Sealed {
        assert!(at + len <= block.capacity(), "view beyond its block");
        Sealed { bytes: Source::Block(block), at, len }
    }

    /// A part of this view, sharing its memory. `range` is in bytes from this view's start.
    ///
    /// # Panics
    /// If `range` is inverted or ends beyond this view.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Sealed {
        assert!(range.start <= range.end && range.end <= self.len, "slice of {range:?}");
        Sealed {
            bytes: self.bytes.clone(),
            at: self.at + range.start,
            len: range.end - range.start,
        }
    }

    /// The shard whose pool this memory returns to; a constant says 0.
    #[must_use]
    pub fn origin(&self) -> u16 {
        match &self.bytes {
            Source::Block(block) => block.origin(),
            Source::Static(_) => 0,
        }
    }

    /// The same view behind the type that protocol libraries take. The memory returns home when
    /// the last such handle is dropped.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.bytes {
            Source::Static(bytes) => Bytes::from_static(&bytes[self.at..self.at + self.len]),
            Source::Block(_) => Bytes::from_owner(self),
        }
    }
}

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Source::Static(bytes) => &bytes[self.at..self.at + self.len],
            Source::Block(block) => {
                // SAFETY: the range lies inside the block (asserted in `of_block`, narrowed by
                // `slice`), is initialised, and is never written again: `Buffer::seal` consumed
                // the writer, `Chunk` writes only above its frozen bytes.
                #[expect(unsafe_code, reason = "view of immutable bytes")]
                unsafe {
                    std::slice::from_raw_parts(block.start().add(self.at), self.len)
                }
            }
        }
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.len)
    }
}
