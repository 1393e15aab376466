//! One aligned allocation and its way home. The only module of this crate with `unsafe` allocation.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Bytes that were copied into chunks and buffers of the pool.
    pub(crate) copied: AtomicU64,
}

/// An owned, page-aligned allocation. Its bytes are reached through [`Memory::start`] only.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    layout: Layout,
    /// The first bytes that were ever written; the rest may not be looked at.
    initialised: usize,
    /// The first bytes that are handed out and charged: at most `initialised`.
    charged: usize,
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
        Memory { start, layout, initialised: capacity, charged: capacity }
    }

    /// Addresses for `most` bytes, none of which is charged or touched yet. `None` if the system
    /// refuses. `most` must be a positive multiple of [`PAGE`].
    pub(crate) fn addresses(most: usize) -> Option<Memory> {
        assert!(most > 0 && most.is_multiple_of(PAGE), "capacity {most} is not pages");
        let layout = Layout::from_size_align(most, PAGE).ok()?;
        // SAFETY: `layout` has a size above zero.
        #[expect(unsafe_code, reason = "page alignment needs the allocator directly")]
        let start = unsafe { alloc(layout) };
        Some(Memory { start: NonNull::new(start)?, layout, initialised: 0, charged: 0 })
    }

    /// Charges the first `to` bytes, whatever was charged, and initialises what was not.
    pub(crate) fn charge(&mut self, to: usize) {
        assert!(to <= self.layout.size(), "growth to {to} beyond {}", self.layout.size());
        if let Some(new @ 1..) = to.checked_sub(self.initialised) {
            // SAFETY: `[initialised, to)` is inside the allocation, and `&mut self` makes this the
            // only access.
            #[expect(unsafe_code, reason = "initialises memory that was never touched")]
            unsafe {
                self.start.as_ptr().add(self.initialised).write_bytes(0, new);
            }
            self.initialised = to;
        }
        self.charged = to;
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Bytes that may be used.
    pub(crate) fn capacity(&self) -> usize {
        self.charged
    }

    /// Bytes that may be charged in place.
    pub(crate) fn most(&self) -> usize {
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

    pub(crate) fn most(&self) -> usize {
        self.memory().most()
    }

    pub(crate) fn charge(&mut self, to: usize) {
        self.memory.as_mut().expect("memory leaves only in drop").charge(to);
    }

    /// Remembers that so many bytes were copied into it.
    pub(crate) fn count_copy(&self, bytes: usize) {
        self.home.copied.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether this block is of that pool.
    pub(crate) fn is_of(&self, home: &Arc<Home>) -> bool {
        Arc::ptr_eq(&self.home, home)
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
