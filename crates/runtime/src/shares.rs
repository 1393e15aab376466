//! Shares of groups, changed from any thread and seen on every shard, and what the groups used.
//!
//! Each shard has a [`Table`] that it alone writes its use into, and that others read at any time.
//! A change is written into the tables of all shards and takes effect at each one's next turn; a
//! shard that sleeps is woken for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use env::Group;
use sched::Shares;

use crate::groups;
use crate::remote::Remote;

const GROUPS: usize = Group::ALL.len();
/// In a packed word: the shares were set from outside.
const HELD: u64 = 1 << 32;

/// What a group has and what it used on one shard. Times are nanoseconds since the shard began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStats {
    /// Which.
    pub group: Group,
    /// Its CPU shares, as they are in force.
    pub cpu_shares: Shares,
    /// Its I/O shares, as they are in force.
    pub io_shares: Shares,
    /// The shares were set through a [`SharesHandle`]: no controller changes them.
    pub is_held: bool,
    /// CPU time.
    pub cpu_ns: u64,
    /// Time in which it had something to run and did not run.
    pub cpu_waited_ns: u64,
    /// Reads, writes and flushes that ended.
    pub io_requests: u64,
    /// Bytes read.
    pub io_read_bytes: u64,
    /// Bytes written.
    pub io_written_bytes: u64,
    /// Device time by the model of the device; a flush is divided among the groups that it was for.
    pub io_device_ns: u64,
    /// Time that requests waited before they were given to the kernel, added up.
    pub io_waited_ns: u64,
}

/// One shard's part of the shares. The cells are written by the shard, but for `wanted`.
pub(crate) struct Table {
    cells: [GroupCell; GROUPS],
    /// Changes that were asked for.
    wanted: AtomicU64,
    /// Changes that are in force.
    applied: AtomicU64,
}

#[repr(align(128))]
pub(crate) struct GroupCell {
    /// Packed shares that were asked for; 0 for none.
    wanted: AtomicU64,
    /// Packed shares in force.
    shares: AtomicU64,
    counts: [AtomicU64; Count::ALL],
}

/// What is counted for a group.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    CpuNs = 0,
    CpuWaitedNs = 1,
    IoRequests = 2,
    IoReadBytes = 3,
    IoWrittenBytes = 4,
    IoDeviceNs = 5,
    IoWaitedNs = 6,
}

impl Count {
    const ALL: usize = 7;
}

fn pack(cpu: Shares, io: Shares, held: u64) -> u64 {
    held | u64::from(cpu.get()) << 16 | u64::from(io.get())
}

fn unpack(word: u64) -> (Shares, Shares, bool) {
    let part = |word: u64| {
        let part = u16::try_from(word & 0xFFFF).unwrap_or(0);
        Shares::new(part).unwrap_or(Shares::MIN)
    };
    (part(word >> 16), part(word), word & HELD != 0)
}

impl GroupCell {
    fn new(group: Group) -> GroupCell {
        let shares = groups::params(group).shares;
        GroupCell {
            wanted: AtomicU64::new(0),
            shares: AtomicU64::new(pack(shares, shares, 0)),
            counts: Default::default(),
        }
    }

    /// Only the shard itself writes: no atomic addition is needed.
    pub(crate) fn set(&self, count: Count, value: u64) {
        self.counts[count as usize].store(value, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, count: Count, more: u64) {
        let value = self.get(count);
        self.set(count, value.wrapping_add(more));
    }

    fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    fn stats(&self, group: Group) -> GroupStats {
        let (cpu_shares, io_shares, is_held) = unpack(self.shares.load(Ordering::Relaxed));
        GroupStats {
            group,
            cpu_shares,
            io_shares,
            is_held,
            cpu_ns: self.get(Count::CpuNs),
            cpu_waited_ns: self.get(Count::CpuWaitedNs),
            io_requests: self.get(Count::IoRequests),
            io_read_bytes: self.get(Count::IoReadBytes),
            io_written_bytes: self.get(Count::IoWrittenBytes),
            io_device_ns: self.get(Count::IoDeviceNs),
            io_waited_ns: self.get(Count::IoWaitedNs),
        }
    }
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            cells: Group::ALL.map(GroupCell::new),
            wanted: AtomicU64::new(0),
            applied: AtomicU64::new(0),
        }
    }

    pub(crate) fn cell(&self, group: usize) -> &GroupCell {
        &self.cells[group]
    }

    pub(crate) fn stats(&self) -> [GroupStats; GROUPS] {
        Group::ALL.map(|group| self.cells[group as usize].stats(group))
    }

    /// Whether a change waits. One load; the word is written only by changes.
    pub(crate) fn is_behind(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != self.applied.load(Ordering::Relaxed)
    }

    /// Called by the shard: gives every change that waits to `apply`.
    pub(crate) fn take_changes(&self, mut apply: impl FnMut(Group, Shares, Shares)) {
        let wanted = self.wanted.load(Ordering::Acquire);
        for group in Group::ALL {
            let cell = &self.cells[group as usize];
            let word = cell.wanted.swap(0, Ordering::Acquire);
            if word != 0 {
                let (cpu, io, _) = unpack(word);
                apply(group, cpu, io);
                cell.shares.store(word, Ordering::Relaxed);
            }
        }
        self.applied.store(wanted, Ordering::Release);
    }

    /// Called by the shard: notes shares that it set itself.
    pub(crate) fn note_shares(&self, group: Group, cpu: Shares, io: Shares) {
        let cell = &self.cells[group as usize];
        let held = cell.shares.load(Ordering::Relaxed) & HELD;
        cell.shares.store(pack(cpu, io, held), Ordering::Relaxed);
    }

    /// Called by the shard: notes whether controllers must leave the shares of `group`.
    pub(crate) fn note_held(&self, group: Group, is_held: bool) {
        let cell = &self.cells[group as usize];
        let shares = cell.shares.load(Ordering::Relaxed) & !HELD;
        cell.shares.store(shares | if is_held { HELD } else { 0 }, Ordering::Relaxed);
    }

    /// Whether the shares of `group` were set from outside.
    pub(crate) fn is_held(&self, group: Group) -> bool {
        self.cells[group as usize].shares.load(Ordering::Relaxed) & HELD != 0
    }

    fn want(&self, group: Group, word: u64, change: u64) {
        self.cells[group as usize].wanted.store(word, Ordering::Release);
        self.wanted.store(change, Ordering::Release);
    }
}

/// A change of shares; see [`SharesHandle::is_applied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change(u64);

/// Changes the shares of groups on all shards and reads what they used, from any thread. Clones
/// are the same. It goes into [`Config::shares`](crate::Config::shares) before the start and works
/// as soon as the shards run.
#[derive(Clone, Default)]
pub struct SharesHandle {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    shards: Vec<Remote>,
    /// What was set before there were shards, by group.
    early: [u64; GROUPS],
    changes: u64,
}

impl SharesHandle {
    /// A handle to no shards yet.
    #[must_use]
    pub fn new() -> SharesHandle {
        SharesHandle::default()
    }

    /// How many shards it reaches; 0 before they run.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.lock().shards.len()
    }

    /// Gives `group` these shares on every shard, and holds them against controllers until
    /// [`release`](SharesHandle::release). Does not wait: a shard takes them at its next turn.
    pub fn set(&self, group: Group, cpu: Shares, io: Shares) -> Change {
        self.want(group, pack(cpu, io, HELD))
    }

    /// Gives `group` back what it has at start; a controller may change that again.
    pub fn release(&self, group: Group) -> Change {
        let shares = groups::params(group).shares;
        self.want(group, pack(shares, shares, 0))
    }

    /// Whether `change`, and all before it, are in force on every shard.
    #[must_use]
    pub fn is_applied(&self, change: Change) -> bool {
        let inner = self.lock();
        let is_behind =
            |shard: &Remote| shard.inner.groups.applied.load(Ordering::Acquire) < change.0;
        !inner.shards.is_empty() && !inner.shards.iter().any(is_behind)
    }

    /// What the groups of `shard` have and used, in the order of [`Group::ALL`]; `None` if there is
    /// no such shard.
    #[must_use]
    pub fn stats(&self, shard: usize) -> Option<[GroupStats; GROUPS]> {
        self.lock().shards.get(shard).map(|shard| shard.inner.groups.stats())
    }

    fn want(&self, group: Group, word: u64) -> Change {
        let mut inner = self.lock();
        inner.changes += 1;
        if inner.shards.is_empty() {
            inner.early[group as usize] = word;
        }
        for shard in &inner.shards {
            shard.inner.groups.want(group, word, inner.changes);
            shard.notify();
        }
        Change(inner.changes)
    }

    pub(crate) fn add(&self, remotes: &[Remote]) {
        let mut inner = self.lock();
        for group in Group::ALL {
            let word = inner.early[group as usize];
            for shard in remotes.iter().filter(|_| word != 0) {
                shard.inner.groups.want(group, word, inner.changes);
            }
        }
        inner.shards.extend_from_slice(remotes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SharesHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharesHandle").field("shards", &self.shards()).finish_non_exhaustive()
    }
}
