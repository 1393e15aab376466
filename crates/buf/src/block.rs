//! One aligned allocation and its way home. The only module of this crate with `unsafe` allocation.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_queue::SegQueue;

use crate::PAGE;

/// Where the blocks of one pool return to, from any thread.
#[derive(Debug)]
pub(crate) struct Home {
    /// The shard that owns the pool.
    pub(crate) origin: u16,
    /// Blocks whose last view is gone. Bounded by the pool's limit: every block in it was
    /// counted when it was handed out and is still counted until collected.
    pub(crate) returned: SegQueue<Memory>,
}

/// An owned, page-aligned allocation. Its bytes are reached through [`Memory::start`] only.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: `Memory` owns its allocation exclusively, like a `Box<[u8]>`.
#[expect(unsafe_code, reason = "an owned allocation may move between threads")]
unsafe impl Send for Memory {}
// SAFETY: a shared `&Memory` gives out only a raw pointer; who dereferences it answers for it.
#[expect(unsafe_code, reason = "a raw pointer is given out, nothing is read here")]
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeroed memory of `capacity` bytes, which must be a positive multiple of [`PAGE`].
    pub(crate) fn new(capacity: usize) -> Memory {
        assert!(capacity > 0 && capacity.is_multiple_of(PAGE), "capacity {capacity} is not pages");
        let layout = Layout::from_size_align(capacity, PAGE).expect("capacity is below isize::MAX");
        // SAFETY: `layout` has a size above zero.
        #[expect(unsafe_code, reason = "page alignment needs the allocator directly")]
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Memory { start, layout }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `start` was allocated with exactly this layout and is freed only here.
        #[expect(unsafe_code, reason = "frees what `new` allocated")]
        unsafe {
            dealloc(self.start.as_ptr(), self.layout);
        }
    }
}

/// A counted block: when dropped, its memory goes to the return queue of its home.
#[derive(Debug)]
pub(crate) struct Block {
    memory: Option<Memory>,
    home: Arc<Home>,
}

impl Block {
    pub(crate) fn new(memory: Memory, home: Arc<Home>) -> Block {
        Block { memory: Some(memory), home }
    }

    fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("memory leaves only in drop")
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.memory().start()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.memory().capacity()
    }

    pub(crate) fn origin(&self) -> u16 {
        self.home.origin
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.returned.push(memory);
        }
    }
}
