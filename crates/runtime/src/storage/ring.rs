//! The storage ring: slots, admission, submission, completion.
//!
//! Bounds: at most [`IN_FLIGHT_MAX`] operations are with the kernel, fewer than the completion
//! queue holds, so it cannot overflow; the rest waits in order. Foreground before background.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use env::{Group, IoFailure};
use io_uring::{IoUring, opcode, squeue, types};
use sched::Shares;
use sched::device::DeviceModel;
use sched::io::Admission;
use sched::sync_merge::Enqueue;

use super::file::OpenFile;
use super::operation::Operation;
use super::slot::{Class, Keep, Slot, State};
use crate::remote::Remote;
use crate::{clock, groups, remote};

const SQ_ENTRIES: u32 = 64;
const CQ_ENTRIES: u32 = 256;
/// Operations with the kernel at a time.
const IN_FLIGHT_MAX: u32 = CQ_ENTRIES - 8;
/// Workers of the kernel for the operations of one shard that end by themselves: reads, writes,
/// flushes and the like.
pub const WORKERS_MAX: u32 = 16;
/// Those, and workers for operations that may take for ever.
const WORKERS: [u32; 2] = [WORKERS_MAX, 4];

/// What the ring did, for tests and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageCounters {
    /// Operations given to the kernel.
    pub issued: u64,
    /// Flushes among them.
    pub syncs: u64,
    /// Flushes asked for.
    pub syncs_asked: u64,
    /// System calls that submitted.
    pub submits: u64,
    /// The most background bytes that were in flight at a time.
    pub background_most_bytes: u64,
    /// The background window now, in bytes.
    pub window_bytes: u64,
    /// The largest that the window was when a background operation was issued.
    pub window_most_bytes: u64,
}

/// The ring of one shard.
pub(crate) struct StorageRing {
    pub(super) inner: RefCell<Inner>,
    /// Submissions wait for a system call.
    has_unsent: Cell<bool>,
    in_flight: Cell<u32>,
    foreground_in_flight: Cell<u32>,
    /// Wakers and kept things that are let go outside of the borrow: they may run foreign code.
    ended: RefCell<Vec<Ended>>,
    /// The shard ended: nothing is given to the kernel any more.
    is_closed: Cell<bool>,
}

pub(super) struct Inner {
    uring: IoUring,
    /// Where other threads see what the groups used.
    pub(super) remote: Arc<remote::Inner>,
    pub(super) model: DeviceModel,
    pub(super) slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots that go as soon as the kernel takes more.
    pub(super) ready: VecDeque<u32>,
    pub(super) admission: Admission,
    pub(super) syncs: [VecDeque<Rc<OpenFile>>; 2],
    pub(super) syncs_in_flight: u32,
    pub(super) background_syncs_in_flight: u32,
    pub(super) background_issued: u64,
    pub(super) counters: StorageCounters,
}

enum Ended {
    Wake(Waker),
    Drop(Keep),
    Synced(Rc<OpenFile>, i32),
}

impl StorageRing {
    pub(crate) fn new(remote: &Remote) -> io::Result<Rc<StorageRing>> {
        let uring = IoUring::builder()
            .setup_cqsize(CQ_ENTRIES)
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .dontfork()
            .build(SQ_ENTRIES)
            .or_else(|error| {
                if error.raw_os_error() != Some(libc::EINVAL) {
                    return Err(error);
                }
                IoUring::builder().setup_cqsize(CQ_ENTRIES).dontfork().build(SQ_ENTRIES)
            })?;
        let shares = Group::ALL.map(|group| groups::params(group).shares);
        let inner = Inner {
            uring,
            remote: Arc::clone(&remote.inner),
            model: DeviceModel::UNKNOWN,
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            admission: Admission::new(&shares),
            syncs: Default::default(),
            syncs_in_flight: 0,
            background_syncs_in_flight: 0,
            background_issued: 0,
            counters: StorageCounters::default(),
        };
        Ok(Rc::new(StorageRing {
            inner: RefCell::new(inner),
            has_unsent: Cell::new(false),
            in_flight: Cell::new(0),
            foreground_in_flight: Cell::new(0),
            ended: RefCell::default(),
            is_closed: Cell::new(false),
        }))
    }

    /// Another handle to the ring's descriptor, to map it or to wait for it.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        let inner = self.inner.borrow();
        // SAFETY: the ring, and with it the descriptor, lives as long as `inner` is borrowed.
        #[expect(unsafe_code, reason = "the ring lends only a raw descriptor")]
        let ring = unsafe { BorrowedFd::borrow_raw(inner.uring.as_raw_fd()) };
        ring.try_clone_to_owned()
    }

    /// Caps the kernel's workers of this thread and moves them to `cpus`, if there are any.
    pub(crate) fn place_workers(&self, cpus: &[usize]) -> io::Result<()> {
        let inner = self.inner.borrow();
        inner.uring.submitter().register_iowq_max_workers(&mut WORKERS.clone())?;
        if cpus.is_empty() {
            return Ok(());
        }
        inner.uring.submitter().register_iowq_aff(&crate::cpus::set_of(cpus))
    }

    /// Queues an operation. `entry` may point only into what `keep` owns.
    pub(super) fn start(
        self: &Rc<StorageRing>,
        entry: squeue::Entry,
        keep: Keep,
        class: Class,
    ) -> Operation {
        let slot = self.queue(entry, keep, class, false);
        Operation::new(self, slot)
    }

    fn queue(&self, entry: squeue::Entry, keep: Keep, class: Class, is_detached: bool) -> u32 {
        let mut inner = self.inner.borrow_mut();
        let slot = inner.new_slot(entry, keep, class, is_detached);
        match class {
            Class::Background(work) => {
                inner.admission.enqueue(work.group as usize, u64::from(slot), work.bytes);
            }
            _ => inner.ready.push_back(slot),
        }
        self.pump(&mut inner);
        slot
    }

    /// Closes a descriptor without waiting for it.
    pub(super) fn close(&self, file: OwnedFd) {
        use std::os::fd::IntoRawFd;
        let fd = file.into_raw_fd();
        if self.is_closed.get() || self.inner.try_borrow_mut().is_err() {
            // SAFETY: `fd` was just given up by its owner and is known only here.
            #[expect(unsafe_code, reason = "takes the descriptor back to close it")]
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            return;
        }
        let entry = opcode::Close::new(types::Fd(fd)).build();
        self.queue(entry, Keep::Nothing, Class::Plain, true);
    }

    /// Does what a request for a flush of `file` asked for.
    pub(super) fn enqueue_sync(&self, file: &Rc<OpenFile>, enqueue: Enqueue) {
        let mut inner = self.inner.borrow_mut();
        match enqueue {
            Enqueue::Now { foreground } => {
                inner.syncs[usize::from(!foreground)].push_back(Rc::clone(file));
            }
            Enqueue::Promote => {
                inner.syncs[1].retain(|queued| !Rc::ptr_eq(queued, file));
                inner.syncs[0].push_back(Rc::clone(file));
            }
            Enqueue::No => return,
        }
        self.pump(&mut inner);
    }

    pub(super) fn count_sync(&self) {
        self.inner.borrow_mut().counters.syncs_asked += 1;
    }

    /// Bytes of a piece that a background request is split into.
    pub(super) fn piece_bytes(&self) -> usize {
        usize::try_from(self.inner.borrow().admission.piece_bytes()).unwrap_or(usize::MAX)
    }

    /// Gives the kernel what it can take.
    fn pump(&self, inner: &mut Inner) {
        let now_ns = clock::now_ns();
        while self.in_flight.get() < IN_FLIGHT_MAX && inner.has_room() {
            let Some(slot) = inner.next_ready() else { break };
            let State::Waiting(entry) =
                std::mem::replace(&mut inner.slots[slot as usize].state, State::InFlight)
            else {
                unreachable!("a queued slot waits");
            };
            if inner.slots[slot as usize].is_abandoned() {
                let ended = inner.discard(slot);
                self.ended.borrow_mut().push(Ended::Drop(ended));
                continue;
            }
            inner.note_issue(slot, now_ns);
            if inner.slots[slot as usize].class.is_foreground() {
                self.foreground_in_flight.set(self.foreground_in_flight.get() + 1);
            }
            inner.push(&entry.user_data(u64::from(slot)));
            self.in_flight.set(self.in_flight.get() + 1);
            self.has_unsent.set(true);
        }
    }

    /// Submits what was queued; one system call if there is any.
    pub(crate) fn submit(&self) {
        if !self.has_unsent.replace(false) {
            return;
        }
        let mut inner = self.inner.borrow_mut();
        inner.counters.submits += 1;
        if inner.uring.submit().is_err() {
            // The kernel is short of memory or of room for completions: the next turn tries again.
            self.has_unsent.set(true);
        }
    }

    /// Takes completions and queues what they make room for. True if somebody was woken.
    pub(crate) fn collect(&self) -> bool {
        if self.in_flight.get() == 0 && self.ended.borrow().is_empty() {
            return false;
        }
        {
            let mut inner = self.inner.borrow_mut();
            let mut ended = self.ended.borrow_mut();
            let now_ns = clock::now_ns();
            while let Some((slot, result)) = inner.next_completion() {
                self.in_flight.set(self.in_flight.get() - 1);
                if inner.slots[slot as usize].class.is_foreground() {
                    self.foreground_in_flight.set(self.foreground_in_flight.get() - 1);
                }
                inner.note_end(slot, now_ns);
                ended.extend(inner.end(slot, result));
            }
            inner.admission.window_mut().adapt(now_ns);
            drop(ended);
            self.pump(&mut inner);
        }
        self.let_go()
    }

    fn let_go(&self) -> bool {
        let mut any = false;
        loop {
            let Some(ended) = self.ended.borrow_mut().pop() else { return any };
            match ended {
                Ended::Wake(waker) => waker.wake(),
                Ended::Drop(keep) => drop(keep),
                Ended::Synced(file, result) => {
                    let result = if result < 0 {
                        let error = io::Error::from_raw_os_error(-result);
                        Err(IoFailure::new("sync", file.path(), &error))
                    } else {
                        Ok(())
                    };
                    let next = file.synced(result);
                    self.enqueue_sync(&file, next);
                }
            }
            any = true;
        }
    }

    /// Waits, blocking the thread, until the kernel has nothing of ours any more.
    pub(crate) fn drain(&self) {
        while self.in_flight.get() != 0 || !self.ended.borrow().is_empty() {
            if self.in_flight.get() != 0 {
                self.has_unsent.set(false);
                let inner = self.inner.borrow();
                // Interrupted or short of memory: tried again until all completions came.
                let _ = inner.uring.submit_and_wait(1);
            }
            self.collect();
        }
        self.is_closed.set(true);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    pub(crate) fn has_foreground_in_flight(&self) -> bool {
        self.foreground_in_flight.get() != 0
    }

    /// Whether a completion is in the ring.
    pub(crate) fn has_completions(&self) -> bool {
        !self.ended.borrow().is_empty()
            || (self.in_flight.get() != 0 && !self.inner.borrow_mut().uring.completion().is_empty())
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.has_unsent.get()
    }

    pub(crate) fn set_shares(&self, group: Group, shares: Shares) {
        self.inner.borrow_mut().admission.set_shares(group as usize, shares);
    }

    pub(crate) fn counters(&self) -> StorageCounters {
        let inner = self.inner.borrow();
        StorageCounters { window_bytes: inner.admission.window().bytes(), ..inner.counters }
    }
}

impl Inner {
    pub(super) fn new_slot(
        &mut self,
        entry: squeue::Entry,
        keep: Keep,
        class: Class,
        is_detached: bool,
    ) -> u32 {
        let slot = Slot {
            state: State::Waiting(entry),
            keep,
            class,
            is_detached,
            started_ns: clock::now_ns(),
            ..Slot::free()
        };
        if let Some(place) = self.free.pop() {
            self.slots[place as usize] = slot;
            return place;
        }
        self.slots.push(slot);
        u32::try_from(self.slots.len() - 1).expect("slots are bounded by tasks")
    }

    pub(super) fn free_slot(&mut self, slot: u32) -> Keep {
        let freed = std::mem::replace(&mut self.slots[slot as usize], Slot::free());
        self.free.push(slot);
        freed.keep
    }

    /// Frees a slot that never went to the kernel.
    fn discard(&mut self, slot: u32) -> Keep {
        if let Class::Background(work) = self.slots[slot as usize].class {
            self.admission.complete(work.bytes);
        }
        self.free_slot(slot)
    }

    /// Room for one more entry. A full queue is given to the kernel; if it does not take it now,
    /// the next turn tries again.
    fn has_room(&mut self) -> bool {
        if !self.uring.submission().is_full() {
            return true;
        }
        self.counters.submits += 1;
        self.uring.submit().is_ok() && !self.uring.submission().is_full()
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: what the entry points to is owned by its slot, which is freed only after the
        // completion of this entry was taken (`end`), never while it is `InFlight`.
        #[expect(unsafe_code, reason = "the kernel will use what the entry points to")]
        let pushed = unsafe { self.uring.submission().push(entry) };
        pushed.expect("there was room");
    }

    fn next_completion(&mut self) -> Option<(u32, i32)> {
        let completion = self.uring.completion().next()?;
        let slot = u32::try_from(completion.user_data()).expect("we number the slots");
        Some((slot, completion.result()))
    }

    /// Ends an operation: its waiter takes the result, or the slot frees itself.
    fn end(&mut self, slot: u32, result: i32) -> Option<Ended> {
        let it = &mut self.slots[slot as usize];
        if !it.is_detached {
            it.state = State::Done(result);
            return it.waker.take().map(Ended::Wake);
        }
        match self.free_slot(slot) {
            Keep::Sync(file, _) => Some(Ended::Synced(file, result)),
            keep => Some(Ended::Drop(keep)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's own limit may be lower or higher on a given machine, so that counting its
    /// workers alone proves nothing.
    #[test]
    fn the_kernel_knows_the_cap_on_its_workers() {
        let remote = Remote::new(0).expect("a doorbell");
        let ring = StorageRing::new(&remote).expect("a ring");
        ring.place_workers(&[]).expect("it is allowed");
        let mut known = [0; 2];
        ring.inner.borrow().uring.submitter().register_iowq_max_workers(&mut known).unwrap();
        assert_eq!(known, WORKERS);
    }
}
