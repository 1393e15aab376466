//! The memory of one shard: a budget, blocks handed out, blocks returned.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::SegQueue;

use crate::block::{Block, Home, Memory};
use crate::{Buffer, Chunk, page_up};

/// Free blocks are kept for reuse up to this part of the limit; what comes back beyond it is freed
/// at once. A fresh block costs a page fault for each of its pages, more than all else that is
/// done with its bytes, and caches give back a good part of the limit at a time.
const KEEP_FREE_PART: usize = 4;

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
    /// Free blocks by capacity, at most the limit divided by [`KEEP_FREE_PART`] in all. Together
    /// with the used ones they stay within the limit.
    free: RefCell<BTreeMap<usize, Vec<Memory>>>,
    free_bytes: Cell<usize>,
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
                free_bytes: Cell::new(0),
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
        if self.inner.limit_bytes - self.used() < more {
            self.collect();
            if self.inner.limit_bytes - self.used() < more {
                return Err(self.over_budget(more));
            }
        }
        self.free_down_to(self.inner.limit_bytes - self.used() - more);
        block.charge(to);
        self.inner.used_bytes.set(self.used() + more);
        Ok(())
    }

    /// Counts `bytes` of memory that the pool does not hand out itself, such as a decoded form, as
    /// handed out until the charge is dropped.
    pub fn charge(&self, bytes: usize) -> Result<Charge, OverBudget> {
        if self.inner.limit_bytes - self.used() < bytes {
            self.collect();
            if self.inner.limit_bytes - self.used() < bytes {
                return Err(self.over_budget(bytes));
            }
        }
        self.free_down_to(self.inner.limit_bytes - self.used() - bytes);
        self.inner.used_bytes.set(self.used() + bytes);
        Ok(Charge { pool: self.clone(), bytes })
    }

    /// Takes back the blocks whose last view was dropped, on any thread. Bounded by the number
    /// of blocks handed out. Called by the owner between tasks, and by every allocation that
    /// would not fit without.
    pub fn collect(&self) {
        while let Some(memory) = self.inner.home.returned.pop() {
            let capacity = memory.capacity();
            self.inner.used_bytes.set(self.inner.used_bytes.get() - capacity);
            if self.inner.free_bytes.get() + memory.most()
                <= self.inner.limit_bytes / KEEP_FREE_PART
            {
                let capacity = memory.most();
                self.inner.free_bytes.set(self.inner.free_bytes.get() + capacity);
                self.inner.free.borrow_mut().entry(capacity).or_default().push(memory);
            }
        }
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
        if self.inner.limit_bytes - self.used() < class
            || !self.inner.free.borrow().contains_key(&class)
        {
            self.collect();
        }
        if self.inner.limit_bytes - self.used() < pages {
            return Err(self.over_budget(pages));
        }
        Ok(())
    }

    fn over_budget(&self, wanted_bytes: usize) -> OverBudget {
        let limit_bytes = self.inner.limit_bytes;
        OverBudget { wanted_bytes, free_bytes: limit_bytes - self.used(), limit_bytes }
    }

    /// Gives free blocks back to the system, the largest first, until at most `bytes` are kept.
    fn free_down_to(&self, bytes: usize) {
        let mut free = self.inner.free.borrow_mut();
        while bytes < self.inner.free_bytes.get() {
            let Some(mut largest) = free.last_entry() else { return };
            self.inner.free_bytes.set(self.inner.free_bytes.get() - *largest.key());
            drop(largest.get_mut().pop());
            if largest.get().is_empty() {
                largest.remove();
            }
        }
    }

    fn reuse(&self, capacity: usize) -> Option<Memory> {
        let mut free = self.inner.free.borrow_mut();
        let same = free.get_mut(&capacity)?;
        let memory = same.pop();
        if same.is_empty() {
            free.remove(&capacity);
        }
        if memory.is_some() {
            self.inner.free_bytes.set(self.inner.free_bytes.get() - capacity);
        }
        memory
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
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_until_memory_is_returned() {
        let pool = Pool::new(3, 3 * 4096);
        let first = pool.buffer(5000).unwrap();
        assert_eq!(first.capacity(), 8192);
        assert!(pool.buffer(4097).is_err());
        drop(first);
        let second = pool.buffer(3 * 4096).expect("an allocation collects what came back");
        assert_eq!(pool.used(), 3 * 4096);
        drop(second);
    }

    #[test]
    fn a_view_dropped_on_another_thread_comes_home() {
        let pool = Pool::new(0, 1 << 20);
        let mut buffer = pool.buffer(4096).unwrap();
        buffer.as_mut_slice()[..3].copy_from_slice(b"abc");
        let view = buffer.seal(3);
        assert_eq!(view.origin(), 0);
        std::thread::spawn(move || assert_eq!(&view[..], b"abc")).join().unwrap();
        assert_eq!(pool.used(), 4096, "counted until collected");
        pool.collect();
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn what_a_request_gave_back_serves_one_of_nearly_that_size() {
        let pool = Pool::new(0, 8 << 20);
        let first = pool.buffer(1_000_000).unwrap();
        let start = first.as_slice().as_ptr();
        drop(first);
        let second = pool.buffer(1_010_000).unwrap();
        assert_eq!(second.as_slice().as_ptr(), start);
        assert!(second.capacity() <= 1_010_000 * 9 / 8);
    }

    #[test]
    fn free_and_used_blocks_stay_within_the_limit_together() {
        let pool = Pool::new(0, 1 << 20);
        let small: Vec<Buffer> = (0..64).map(|_| pool.buffer(4096).unwrap()).collect();
        drop(small);
        pool.collect();
        assert_eq!(pool.inner.free_bytes.get(), 256 << 10);
        let large = pool.buffer(900 << 10).unwrap();
        assert!(pool.used() + pool.inner.free_bytes.get() <= pool.limit());
        drop(large);
        pool.collect();
        assert!(pool.inner.free_bytes.get() <= pool.limit() / KEEP_FREE_PART);
    }

    #[test]
    fn all_of_the_limit_can_be_had_in_one_piece() {
        let limit = (1 << 20) + 4096;
        assert!(size_class(limit) > limit);
        let pool = Pool::new(0, limit);
        assert_eq!(pool.buffer(limit).unwrap().capacity(), limit);
    }

    #[test]
    fn a_growing_buffer_counts_what_it_has() {
        let pool = Pool::new(0, 4 * 4096);
        let mut buffer = pool.growing(100, 1 << 20).unwrap();
        assert_eq!((buffer.capacity(), buffer.most(), pool.used()), (4096, 1 << 20, 4096));
        buffer.as_mut_slice().fill(7);
        let start = buffer.as_slice().as_ptr();
        pool.grow(&mut buffer, 3 * 4096).unwrap();
        assert_eq!((buffer.capacity(), pool.used()), (3 * 4096, 3 * 4096));
        assert_eq!(buffer.as_slice().as_ptr(), start, "it stays where it is");
        assert_eq!(buffer.as_slice()[..4096], [7; 4096]);
        assert_eq!(buffer.as_slice()[4096..], [0; 2 * 4096], "new bytes are initialised");
        let over = pool.grow(&mut buffer, 5 * 4096).unwrap_err();
        assert_eq!((over.wanted_bytes, over.free_bytes), (2 * 4096, 4096));
        assert_eq!((buffer.capacity(), pool.used()), (3 * 4096, 3 * 4096), "nothing changed");
        pool.grow(&mut buffer, 10).expect("it is as long already");
        drop(buffer.seal(10));
        pool.collect();
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_block_that_grew_is_used_again_from_its_beginning() {
        let pool = Pool::new(0, 16 * 4096);
        let mut buffer = pool.growing(1, 2 * 4096).unwrap();
        pool.grow(&mut buffer, 2 * 4096).unwrap();
        let start = buffer.as_slice().as_ptr();
        drop(buffer);
        let again = pool.growing(1, 2 * 4096).unwrap();
        assert_eq!(again.as_slice().as_ptr(), start);
        assert_eq!((again.capacity(), pool.used()), (4096, 4096), "charged as it grows");
        drop(again);
        let plain = pool.buffer(2 * 4096).unwrap();
        assert_eq!((plain.as_slice().as_ptr(), plain.capacity()), (start, 2 * 4096));
    }

    #[test]
    fn a_charge_takes_part_in_the_limit() {
        let pool = Pool::new(0, 4 * 4096);
        let charge = pool.charge(10_000).unwrap();
        assert_eq!((charge.bytes(), pool.used()), (10_000, 10_000));
        assert!(pool.buffer(2 * 4096).is_err());
        assert!(pool.charge(6_385).is_err());
        drop(charge);
        assert_eq!(pool.used(), 0);
        let buffer = pool.buffer(4 * 4096).unwrap();
        drop(buffer);
        assert!(pool.charge(4 * 4096).is_ok(), "what came back is collected for it");
    }

    #[test]
    fn copies_are_counted_whatever_they_go_into() {
        let pool = Pool::new(0, 1 << 20);
        pool.chunk(4096).unwrap().append(&[1; 100]).unwrap();
        let mut buffer = pool.buffer(4096).unwrap();
        buffer.copy_in(10, &[2; 30]);
        assert_eq!(buffer.as_slice()[10..40], [2; 30]);
        assert_eq!(pool.copied(), 130);
    }

    #[test]
    fn views_may_outlive_the_pool() {
        let pool = Pool::new(0, 1 << 20);
        let view = pool.buffer(10).unwrap().seal(10);
        drop(pool);
        assert_eq!(view.len(), 10);
    }
}
