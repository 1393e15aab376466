//! Stage 2 of every produce of one shard: commit rounds, write-back, checkpoints.
//!
//! A round takes every partition with pending bytes. One with much pending goes straight to its segment;
//! all others share one journal frame and one flush. What the journal holds reaches the segments later, in
//! large pieces, by write-back; a checkpoint flushes the segments, records where each log ends, and
//! frees the journal.

mod checkpoint;
mod round;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use env::sync::{Signal, race};
use env::{Env, Gate, Group};
use journal::checkpoint::Checkpoint;
use journal::{Item, Journal, JournalError};
use record::TopicPartition;

use crate::Partition;
use crate::progress::Level;

pub use checkpoint::CheckpointError;

/// How often, at most, a full or failing device is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The commit rounds of one shard. A cheap handle; clones are the same committer.
#[derive(Clone)]
pub struct Committer<E: Env> {
    inner: Rc<Inner<E>>,
}

struct Inner<E: Env> {
    env: E,
    journal: Journal<E>,
    /// Partitions with pending bytes, each once; bounded by the partitions of the shard.
    queue: RefCell<VecDeque<Partition<E>>>,
    /// Partitions that the journal names since the last checkpoint.
    dirty: RefCell<BTreeMap<TopicPartition, Partition<E>>>,
    /// Where each log of the shard ended when that was last recorded: the checkpoint file.
    points: RefCell<Checkpoint>,
    checkpointing: Gate,
    queued: Signal,
    rounds_done: Signal,
    upkeep_due: Signal,
    stop: Cell<bool>,
    counts: Counts,
}

/// What was done so far, by count.
#[derive(Debug, Default)]
pub struct Counts {
    /// Journal frames written.
    pub frames: Cell<u64>,
    /// Journal flushes.
    pub flushes: Cell<u64>,
    /// Direct writes of segments.
    pub direct_writes: Cell<u64>,
    /// Checkpoints.
    pub checkpoints: Cell<u64>,
}

impl<E: Env> Committer<E> {
    /// The committer of this shard, on its journal. `points` is what an earlier checkpoint says of
    /// the shard's partitions. Nothing happens until [`run`](Committer::run).
    #[must_use]
    pub fn new(env: &E, journal: Journal<E>, points: Checkpoint) -> Committer<E> {
        Committer {
            inner: Rc::new(Inner {
                env: env.clone(),
                journal,
                queue: RefCell::default(),
                dirty: RefCell::default(),
                points: RefCell::new(points),
                checkpointing: Gate::default(),
                queued: Signal::new(),
                rounds_done: Signal::new(),
                upkeep_due: Signal::new(),
                stop: Cell::new(false),
                counts: Counts::default(),
            }),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    /// What the shard's journal did so far.
    #[must_use]
    pub fn journal_metrics(&self) -> journal::Metrics {
        self.inner.journal.metrics()
    }

    /// Says that `partition` has pending bytes. Called after every append.
    pub fn enqueue(&self, partition: &Partition<E>) {
        if partition.inner.queued.replace(true) {
            return;
        }
        self.inner.queue.borrow_mut().push_back(partition.clone());
        self.inner.queued.notify();
    }

    /// Takes a partition that the journals of earlier runs name, before anything is appended to
    /// it: says in this run's journal where it ends now, so that what those journals hold beyond
    /// is void for ever, and keeps it dirty until its segments have everything.
    pub async fn adopt(&self, partition: &Partition<E>) -> Result<(), JournalError> {
        let to = partition.bounds().log_end;
        self.note(partition, Item::Truncated { partition: partition.id(), to }).await
    }

    /// Forgets a partition that was deleted.
    pub fn forget(&self, id: TopicPartition) {
        self.inner.dirty.borrow_mut().remove(&id);
        self.inner.points.borrow_mut().remove(id);
        self.inner.queue.borrow_mut().retain(|partition| partition.id() != id);
    }

    /// Runs rounds until [`stop`](Committer::stop), then once more until nothing is pending.
    /// Belongs into the group `produce`.
    pub async fn run(self) {
        loop {
            let seen = self.inner.queued.seen();
            let waiting = self.inner.queue.borrow().is_empty();
            if waiting {
                if self.inner.stop.get() {
                    return;
                }
                self.inner.queued.after(seen).await;
                continue;
            }
            if self.round().await.is_err() {
                self.inner.env.sleep(RETRY_AFTER).await;
            }
            self.inner.rounds_done.notify();
        }
    }

    /// Runs write-back and checkpoints when they are due, until [`stop`](Committer::stop).
    /// Belongs into the group `retention`.
    pub async fn upkeep(self) {
        while !self.inner.stop.get() {
            let seen = self.inner.upkeep_due.seen();
            let idle = self.inner.dirty.borrow().is_empty();
            if idle {
                self.inner.upkeep_due.after(seen).await;
                continue;
            }
            if self.memory_is_short() {
                self.write_back(Group::Produce).await;
            }
            self.flush_overdue().await;
            if self.inner.journal.pressure().checkpoint_is_due()
                && self.checkpoint(Group::Retention).await.is_err()
            {
                self.inner.env.sleep(RETRY_AFTER).await;
                continue;
            }
            let due = self.inner.upkeep_due.after(seen);
            let pause = self.inner.env.sleep(Duration::from_millis(50));
            race(due, pause).await;
        }
    }

    /// Ends [`run`](Committer::run) and [`upkeep`](Committer::upkeep) once nothing is pending.
    pub fn stop(&self) {
        self.inner.stop.set(true);
        self.inner.queued.notify();
        self.inner.upkeep_due.notify();
    }

    /// Ends the journal after a clean stop: every partition was closed.
    pub async fn close_journal(&self) -> Result<(), journal::ReleaseError> {
        self.inner.journal.close().await
    }

    /// Asks for write-back and eviction soon: an append found no memory.
    pub fn memory_wanted(&self) {
        self.inner.upkeep_due.notify();
    }

    /// Notified after each round.
    #[must_use]
    pub fn rounds_done(&self) -> &Signal {
        &self.inner.rounds_done
    }

    /// Flushes partitions of `write.caching` topics whose `flush.ms` passed with nothing pending.
    async fn flush_overdue(&self) {
        let now = self.inner.env.now();
        let overdue: Vec<Partition<E>> = self
            .inner
            .dirty
            .borrow()
            .values()
            .filter(|partition| {
                let state = partition.inner.state.borrow();
                state.ack.level == Level::Written && state.flush_is_due(now)
            })
            .cloned()
            .collect();
        for partition in overdue {
            // A failure is noted on the partition; the others go on.
            if partition.write_segment(Group::Produce).await.is_ok() {
                let _ = partition.flush_segment(Group::Produce).await;
            }
        }
    }

    /// Writes what the segments lack of every dirty partition, so that its memory may go.
    async fn write_back(&self, group: Group) {
        let dirty: Vec<Partition<E>> = self.inner.dirty.borrow().values().cloned().collect();
        for partition in dirty {
            if partition.log().unwritten_bytes() == 0 || partition.inner.direct.get() {
                continue;
            }
            // A failure is noted on the partition; the others go on.
            let _ = partition.write_segment(group).await;
            self.inner.env.yield_if_needed().await;
        }
    }

    /// Makes one fact about `partition` durable in the journal.
    pub(crate) async fn note(
        &self,
        partition: &Partition<E>,
        item: Item,
    ) -> Result<(), JournalError> {
        self.inner.journal.commit(vec![item], true, Group::System).await?;
        self.mark_dirty(partition);
        Ok(())
    }

    fn memory_is_short(&self) -> bool {
        let pool = self.inner.env.pool();
        pool.limit() / 2 < pool.used()
    }

    fn mark_dirty(&self, partition: &Partition<E>) {
        partition.inner.state.borrow_mut().marked_dirty = true;
        let first = {
            let mut dirty = self.inner.dirty.borrow_mut();
            let first = dirty.is_empty();
            dirty.insert(partition.id(), partition.clone());
            first
        };
        if first {
            self.inner.upkeep_due.notify();
        }
    }
}

/// What one partition has for the next round.
pub(crate) struct Pending {
    pub(crate) from: record::Offset,
    pub(crate) to: record::Offset,
    pub(crate) bytes: usize,
    pub(crate) parts: Vec<buf::Sealed>,
    pub(crate) flush: bool,
}

impl<E: Env> Partition<E> {
    /// What is neither in the journal nor in the segments; `None` if nothing is.
    pub(crate) fn pending(&self) -> Option<Pending> {
        let state = self.inner.state.borrow();
        let from = state.progress.reached(Level::Written);
        let to = state.progress.end();
        if from == to {
            return None;
        }
        let flush = match state.ack.level {
            Level::Durable => true,
            Level::Written => state.flush_is_due(self.inner.env.now()),
        };
        drop(state);
        let parts = self.inner.log.unwritten(from);
        let bytes = parts.iter().map(|part| part.len()).sum();
        Some(Pending { from, to, bytes, parts, flush })
    }
}

impl<E: Env> fmt::Debug for Committer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("queued", &self.inner.queue.borrow().len())
            .field("dirty", &self.inner.dirty.borrow().len())
            .finish_non_exhaustive()
    }
}
