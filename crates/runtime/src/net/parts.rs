//! Our memory in the shape that the driver takes it.

use buf::{Buffer, Sealed};
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf};

/// Pieces in one vectored write; the kernel takes at most 1024.
const PIECES_MAX: usize = 256;

/// Room in a buffer for a read.
pub(super) struct Room {
    pub(super) buffer: Buffer,
    at: usize,
    len: usize,
}

impl Room {
    /// The bytes `[at, at + len)` of `buffer`.
    ///
    /// # Panics
    /// If they are not all inside it.
    pub(super) fn new(buffer: Buffer, at: usize, len: usize) -> Room {
        assert!(
            at <= buffer.capacity() && len <= buffer.capacity() - at,
            "a read beyond its buffer"
        );
        Room { buffer, at, len }
    }
}

// SAFETY: the block of a `Buffer` does not move when the buffer does, is initialised, and is owned
// by `Room` alone; `[at, at + len)` is inside it.
#[expect(unsafe_code, reason = "the driver's interface for owned buffers")]
unsafe impl IoBufMut for Room {
    fn write_ptr(&mut self) -> *mut u8 {
        self.buffer.as_mut_slice()[self.at..].as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.len
    }

    unsafe fn set_init(&mut self, _len: usize) {}
}

/// Views to be written one after the other.
pub(super) struct Parts {
    views: Vec<Sealed>,
    /// Points into `views`, from what is not written yet.
    pieces: Vec<libc::iovec>,
}

impl Parts {
    /// What remains of `views` when the first `skip` bytes are left out, at most so many pieces
    /// as the kernel takes at a time.
    pub(super) fn new(views: Vec<Sealed>, mut skip: usize) -> Parts {
        let mut pieces = Vec::with_capacity(views.len().min(PIECES_MAX));
        for view in &views {
            if pieces.len() == PIECES_MAX {
                break;
            }
            if view.len() <= skip {
                skip -= view.len();
                continue;
            }
            let rest = &view[skip..];
            skip = 0;
            pieces.push(libc::iovec {
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            });
        }
        Parts { views, pieces }
    }

    pub(super) fn into_views(self) -> Vec<Sealed> {
        self.views
    }
}

// SAFETY: `pieces` is not changed after it was built, its memory does not move with `Parts`, and
// each piece points into a view that `Parts` keeps and that nobody writes.
#[expect(unsafe_code, reason = "the driver's interface for owned buffers")]
unsafe impl IoVecBuf for Parts {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.pieces.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.pieces.len()
    }
}

/// The rest of one view.
pub(super) struct Part {
    pub(super) view: Sealed,
    pub(super) skip: usize,
}

// SAFETY: the memory behind a view does not move with it, is initialised and never written.
#[expect(unsafe_code, reason = "the driver's interface for owned buffers")]
unsafe impl IoBuf for Part {
    fn read_ptr(&self) -> *const u8 {
        self.view[self.skip..].as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.view.len() - self.skip
    }
}
