//! The memory of one shard: a budget, blocks handed out, blocks returned.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::SegQueue;

use crate::block::{Block, Home, Memory};
use crate::free::FreeBlocks;
use crate::{Buffer, Chunk, page_up};

/// Free blocks are kept for reuse up to this part of the limit; what comes back beyond it is freed
/// at once. A fresh block costs a page fault for each of its pages, more than all else that is
/// done with its bytes, and caches give back a good part of the limit at a time.
const KEEP_FREE_PART: usize = 4;

/// One [`Pool::collect`] takes back at most this many blocks. Another shard may drop a hundred
/// thousand views at once; taken back in one go they would hold up everybody on their own shard.
pub const COLLECT_BLOCKS_MAX: usize = 128;

/// One [`Pool::collect`] ends when it gave this many bytes back to the system, which costs about
/// 50 us for each MiB. It exceeds it by less than one block.
pub const COLLECT_FREED_MAX_BYTES: usize = 1 << 20;

/// Larger blocks have one of eight sizes between two powers of two, so that what one request gave
/// back fits the next one, which is a little larger or smaller.
const EXACT_BYTES_MAX: usize = 64 << 10;

/// The pool of one shard. Cloning gives another handle to the same pool; it is not `Send`.
#[derive(Clone)]
pub struct Pool {
    inner: Rc<Inner>,
}

struct Inner {
    home: Arc<Home>,
    limit_bytes: usize,
    /// Bytes of blocks handed out and not collected yet.
    used_bytes: Cell<usize>,
    /// At most the limit divided by [`KEEP_FREE_PART`]. Together with the used ones they stay within
    /// the limit.
    free: RefCell<FreeBlocks>,
}

/// The pool's limit would be passed: nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory budget: {wanted_bytes} bytes wanted, {free_bytes} of {limit_bytes} free")]
pub struct OverBudget {
    /// Bytes asked for, in whole pages.
    pub wanted_bytes: usize,
    /// Bytes that could still be handed out.
    pub free_bytes: usize,
    /// The pool's limit.
    pub limit_bytes: usize,
}

impl Pool {
    /// A pool of shard `origin` that hands out at most `limit_bytes` at a time.
    #[must_use]
    pub fn new(origin: u16, limit_bytes: usize) -> Pool {
        let home = Arc::new(Home { origin, returned: SegQueue::new(), copied: AtomicU64::new(0) });
        Pool {
            inner: Rc::new(Inner {
                home,
                limit_bytes,
                used_bytes: Cell::new(0),
                free: RefCell::default(),
            }),
        }
    }

    /// The shard this pool belongs to.
    #[must_use]
    pub fn origin(&self) -> u16 {
        self.inner.home.origin
    }

    /// The most bytes handed out at a time.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.inner.limit_bytes
    }

    /// Bytes handed out, as of the last [`collect`](Pool::collect).
    #[must_use]
    pub fn used(&self) -> usize {
        self.inner.used_bytes.get()
    }

    /// Bytes copied so far into this pool's chunks, and elsewhere as far as that was counted
    /// ([`Buffer::copy_in`], [`note_copy`](Pool::note_copy)). How often what is produced is copied is
    /// a promise; this is how it is tested.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.inner.home.copied.load(Ordering::Relaxed)
    }

    /// Counts `bytes` that were copied on behalf of this pool's shard.
    pub fn note_copy(&self, bytes: usize) {
        self.inner.home.copied.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A buffer of at least `capacity` bytes, in whole pages. Its content is not
    /// specified (it may have been used before), but it is initialised memory.
    pub fn buffer(&self, capacity: usize) -> Result<Buffer, OverBudget> {
        Ok(Buffer::new(self.block(capacity)?))
    }

    /// An empty chunk of at least `capacity` bytes, in whole pages.
    pub fn chunk(&self, capacity: usize) -> Result<Chunk, OverBudget> {
        Ok(Chunk::new(self.block(capacity)?))
    }

    /// A buffer of at least `first` bytes that [`grow`](Pool::grow) can bring to at least `most`, both
    /// in whole pages. Only what it has counts as handed out; the rest is addresses without
    /// memory behind them.
    pub fn growing(&self, first: usize, most: usize) -> Result<Buffer, OverBudget> {
        let first = page_up(first.max(1));
        let most = size_class(page_up(most.max(first)));
        self.make_room(first, most)?;
        self.free_down_to(self.inner.limit_bytes - self.used() - first);
        let found = self.reuse(most).or_else(|| Memory::addresses(most));
        let Some(mut memory) = found else { return Err(self.over_budget(first)) };
        memory.charge(first);
        self.inner.used_bytes.set(self.used() + first);
        Ok(Buffer::new(Block::new(memory, Arc::clone(&self.inner.home))))
    }

    /// Makes `buffer` at least `capacity` bytes long where it lies, rounded up to whole pages.
    /// After an error it is as it was.
    ///
    /// # Panics
    /// If `capacity` is beyond the buffer's [`most`](Buffer::most), or the buffer is another pool's.
    pub fn grow(&self, buffer: &mut Buffer, capacity: usize) -> Result<(), OverBudget> {
        let block = buffer.block_mut();
        assert!(block.is_of(&self.inner.home), "a buffer of another pool");
        let to = page_up(capacity).max(block.capacity());
        let more = to - block.capacity();
        self.collect_for(more)?;
        self.free_down_to(self.inner.limit_bytes - self.used() - more);
        block.charge(to);
        self.inner.used_bytes.set(self.used() + more);
        Ok(())
    }

    /// Counts `bytes` of memory that the pool does not hand out itself, such as a decoded form, as
    /// handed out until the charge is dropped.
    pub fn charge(&self, bytes: usize) -> Result<Charge, OverBudget> {
        self.collect_for(bytes)?;
        self.free_down_to(self.inner.limit_bytes - self.used() - bytes);
        self.inner.used_bytes.set(self.used() + bytes);
        Ok(Charge { pool: self.clone(), bytes })
    }

    /// Takes back blocks whose last view was dropped, on any thread: at most
    /// [`COLLECT_BLOCKS_MAX`], fewer when [`COLLECT_FREED_MAX_BYTES`] went back to the system. True
    /// if there may be more. Called by the owner between tasks; an allocation that would not fit
    /// goes on until it does or nothing is left.
    pub fn collect(&self) -> bool {
        let mut freed_bytes = 0;
        for _ in 0..COLLECT_BLOCKS_MAX {
            let Some(memory) = self.inner.home.returned.pop() else { return false };
            self.inner.used_bytes.set(self.used() - memory.capacity());
            let mut free = self.inner.free.borrow_mut();
            if free.bytes() + memory.most() <= self.inner.limit_bytes / KEEP_FREE_PART {
                free.put(memory);
            } else {
                freed_bytes += memory.most();
            }
            if COLLECT_FREED_MAX_BYTES <= freed_bytes {
                break;
            }
        }
        !self.inner.home.returned.is_empty()
    }

    /// Takes back blocks until at most `used_bytes` are handed out, or nothing is left to take:
    /// for who needs the room now.
    pub fn collect_down_to(&self, used_bytes: usize) {
        while used_bytes < self.used() && self.collect() {}
    }

    fn collect_for(&self, bytes: usize) -> Result<(), OverBudget> {
        self.collect_down_to(self.inner.limit_bytes.saturating_sub(bytes));
        if self.inner.limit_bytes - self.used() < bytes {
            return Err(self.over_budget(bytes));
        }
        Ok(())
    }

    fn block(&self, capacity: usize) -> Result<Block, OverBudget> {
        let pages = page_up(capacity.max(1));
        let class = size_class(pages);
        self.make_room(pages, class)?;
        let free_bytes = self.inner.limit_bytes - self.used();
        let taken = if class <= free_bytes { class } else { pages };
        let mut memory = self.reuse(taken).unwrap_or_else(|| {
            self.free_down_to(free_bytes - taken);
            Memory::new(taken)
        });
        memory.charge(taken);
        self.inner.used_bytes.set(self.used() + taken);
        Ok(Block::new(memory, Arc::clone(&self.inner.home)))
    }

    /// Sees to it that `pages` bytes may be handed out. Collects if there is no room for `class`
    /// bytes, or no free block of that size.
    fn make_room(&self, pages: usize, class: usize) -> Result<(), OverBudget> {
        if self.inner.limit_bytes - self.used() < class || !self.inner.free.borrow().has(class) {
            self.collect();
        }
        self.collect_for(pages)
    }

    fn over_budget(&self, wanted_bytes: usize) -> OverBudget {
        let limit_bytes = self.inner.limit_bytes;
        OverBudget { wanted_bytes, free_bytes: limit_bytes - self.used(), limit_bytes }
    }

    fn free_down_to(&self, bytes: usize) {
        self.inner.free.borrow_mut().cut_to(bytes);
    }

    fn reuse(&self, capacity: usize) -> Option<Memory> {
        self.inner.free.borrow_mut().take(capacity)
    }
}

/// The capacity that a request for `pages` bytes, whole pages, gets if there is room.
fn size_class(pages: usize) -> usize {
    if pages <= EXACT_BYTES_MAX {
        return pages;
    }
    let step = (1 << pages.ilog2()) / 8;
    pages.next_multiple_of(step)
}

/// Bytes that count as handed out by a pool; given back when dropped, on the pool's own thread.
#[derive(Debug)]
pub struct Charge {
    pool: Pool,
    bytes: usize,
}

impl Charge {
    /// How many.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.inner.used_bytes.set(self.pool.used() - self.bytes);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("origin", &self.origin())
            .field("used", &self.used())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
