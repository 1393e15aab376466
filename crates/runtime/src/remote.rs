//! The part of a shard that other threads may touch: the doorbell, the queue of foreign wakes,
//! and what the watchdog reads.

use std::fs::File;
use std::io::{self, Write};
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering, fence};

use async_task::Runnable;
use crossbeam_queue::SegQueue;

use crate::descriptor;
use crate::exec::Meta;
use crate::shares::Table;

/// A handle to a shard for any thread.
#[derive(Clone)]
pub struct Remote {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shard: u16,
    /// Tasks of this shard that were woken elsewhere. Bounded by the number of its tasks.
    inject: SegQueue<Runnable<Meta>>,
    /// Set by the shard just before it blocks.
    sleeping: AtomicBool,
    doorbell: File,
    /// The shard ran its last task.
    closed: AtomicBool,
    /// A stop was asked for.
    pub(crate) stop: AtomicBool,
    /// Some lane to this shard has a message, or one from it has room again.
    pub(crate) mail: AtomicBool,
    pub(crate) running: Running,
    /// Shares of the groups, and what they used.
    pub(crate) groups: Table,
}

/// What runs on the shard, for the watchdog. Written by the shard, read by anybody.
pub(crate) struct Running {
    /// Counts task polls; odd while one runs.
    pub(crate) sequence: AtomicU64,
    pub(crate) group: AtomicU8,
    pub(crate) site: AtomicPtr<Location<'static>>,
    /// Polls that took longer than the limit, found by the shard itself.
    pub(crate) stalls: AtomicU64,
}

impl Remote {
    pub(crate) fn new(shard: u16) -> io::Result<Remote> {
        let inner = Inner {
            shard,
            inject: SegQueue::new(),
            sleeping: AtomicBool::new(false),
            doorbell: descriptor::event(false)?,
            closed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            mail: AtomicBool::new(false),
            running: Running {
                sequence: AtomicU64::new(0),
                group: AtomicU8::new(0),
                site: AtomicPtr::new(ptr::null_mut()),
                stalls: AtomicU64::new(0),
            },
            groups: Table::new(),
        };
        Ok(Remote { inner: Arc::new(inner) })
    }

    /// Makes the shard look at its queues soon. Cheap while it is awake: a fence and a load.
    pub fn notify(&self) {
        self.inner.notify();
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote(shard {})", self.inner.shard)
    }
}

impl Inner {
    pub(crate) fn notify(&self) {
        // Pairs with the fence in `announce_sleep`: either the shard sees what was published
        // before this call, or this load sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            // An eventfd refuses only beyond 2^64 - 2 pending; then it is ready anyway.
            let _ = (&self.doorbell).write(&1u64.to_ne_bytes());
        }
    }

    pub(crate) fn inject(&self, task: Runnable<Meta>) {
        self.inject.push(task);
        self.notify();
    }

    pub(crate) fn take_injected(&self) -> Option<Runnable<Meta>> {
        self.inject.pop()
    }

    pub(crate) fn has_injected(&self) -> bool {
        !self.inject.is_empty()
    }

    pub(crate) fn doorbell(&self) -> io::Result<File> {
        self.doorbell.try_clone()
    }

    /// From now on whoever publishes rings the doorbell. The caller must look at every queue
    /// once more before it blocks.
    pub(crate) fn announce_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn announce_awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_sleeping(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A task woken after its shard ended. Its future belongs to a thread that is gone and is
        // not `Send`: it may only be leaked.
        while let Some(task) = self.inject.pop() {
            let _ = std::mem::ManuallyDrop::new(task);
        }
    }
}
