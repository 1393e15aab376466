//! A checkpoint: segments flushed, ends recorded, journal freed.
//!
//! Order, and what is on disk if power goes between: (1) each dirty partition's segments are written
//! and flushed, its snapshot and epochs saved: the journal still has everything; (2) the checkpoint file is
//! replaced: the journal only repeats what the segments have; (3) journal files are released.

use std::collections::BTreeMap;

use env::sync::all;
use env::{Env, Group, IoFailure};
use journal::checkpoint::{self, PartitionPoint, SaveError};
use journal::{Mark, ReleaseError, Settled};
use record::{LeaderEpoch, Offset, TopicPartition};

use super::Committer;
use crate::Partition;
use crate::partition::Trouble;
use crate::progress::Level;

/// Partitions whose segments are brought up to date side by side. The flushes of several files share
/// a commit of the file system; one after the other, a thousand of them take seconds.
const SETTLED_AT_ONCE: usize = 16;

/// What failed in an [`IoFailure`] of the data directory's root.
const ROOT_SYNC: &str = "sync_dir";

/// A checkpoint that did not come about. The journal was not freed; nothing is lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The checkpoint file could not be replaced.
    #[error(transparent)]
    File(#[from] SaveError),
    /// The journal could not recycle its files.
    #[error(transparent)]
    Journal(#[from] ReleaseError),
    /// A partition's segments could not be brought up to date; the others were.
    #[error("segments: {0}")]
    Partition(IoFailure),
}

impl<E: Env> Committer<E> {
    /// Flushes every dirty partition, records where each log ends, and frees the journal. A
    /// partition that fails stays dirty and keeps its journal files; the others go on. Its I/O is
    /// that of `group` until the journal is nearly full: then producers wait for it, and it goes
    /// on at their level.
    pub async fn checkpoint(&self, group: Group) -> Result<(), CheckpointError> {
        let _turn = self.inner.checkpointing.enter().await;
        // Whatever is committed from here on has a mark of its own above it.
        let before = self.inner.journal.mark();
        let dirty: Vec<Partition<E>> = self.inner.dirty.borrow().values().cloned().collect();
        let mut captured = BTreeMap::new();
        let mut failed = None;
        for some in dirty.chunks(SETTLED_AT_ONCE) {
            let urgent = self.inner.journal.pressure().checkpoint_is_urgent();
            let group = if urgent { Group::Produce } else { group };
            let settling = some.iter().map(|one| one.settle(group, || self.inner.journal.mark()));
            for (partition, settled) in some.iter().zip(all(settling.collect()).await) {
                match settled {
                    Ok(point) => {
                        captured.insert(partition.id(), point.recovery_point);
                        self.inner.points.borrow_mut().insert(point);
                        if !partition.has_unsettled() {
                            self.inner.dirty.borrow_mut().remove(&partition.id());
                        }
                    }
                    Err(Trouble::Full(failure) | Trouble::Fenced(failure)) => {
                        failed = Some(failure);
                    }
                }
            }
            self.inner.env.yield_if_needed().await;
        }
        let points = self.inner.points.borrow().clone();
        if let Err(error) = checkpoint::save(&self.inner.env, &points, group).await {
            if let SaveError::Io(failure) = &error
                && failure.op == ROOT_SYNC
            {
                // The root is not synced again: there will be no checkpoint any more.
                self.inner.journal.fail(failure.clone());
            }
            return Err(error.into());
        }
        // With a failure nothing that only a checkpoint settles may go.
        let mark = if failed.is_some() { Mark::default() } else { before };
        self.inner.journal.release(mark, |id| self.settled(id, &captured)).await?;
        self.inner.counts.checkpoints.set(self.inner.counts.checkpoints.get() + 1);
        failed.map_or(Ok(()), |failure| Err(CheckpointError::Partition(failure)))
    }

    fn settled(&self, id: TopicPartition, captured: &BTreeMap<TopicPartition, Offset>) -> Settled {
        match (self.inner.dirty.borrow().get(&id), captured.get(&id)) {
            (_, Some(durable)) => Settled::Durable(*durable),
            // Not dirty: deleted, or everything of it was settled by an earlier checkpoint.
            (None, None) => Settled::Gone,
            (Some(_), None) => Settled::Durable(Offset::ZERO),
        }
    }

    /// Whether the journal holds something of a partition that its segments lack.
    #[must_use]
    pub fn is_dirty(&self, id: TopicPartition) -> bool {
        self.inner.dirty.borrow().contains_key(&id)
    }
}

impl<E: Env> Partition<E> {
    /// Brings everything written so far into flushed segments, saves what belongs beside them,
    /// and says where the log then ends. From here on a direct write must mark the journal anew.
    async fn settle(
        &self,
        group: Group,
        mark: impl Fn() -> Mark,
    ) -> Result<PartitionPoint, Trouble> {
        loop {
            let seen = self.inner.moved.seen();
            if self.inner.direct.get() {
                self.inner.moved.after(seen).await;
                continue;
            }
            // Both before the write. A frame below the mark holds only what was appended before
            // it, which the write and the flush then cover; and a direct write that begins from
            // here on marks the journal anew, above the mark.
            let mark = mark();
            self.inner.state.borrow_mut().marked_dirty = false;
            let snapshot = self.snapshot_now();
            self.complete_aborted(group).await?;
            self.write_segment(group).await?;
            self.flush_segment(group).await?;
            if let Err(failure) = self.save_beside(snapshot, group).await {
                let trouble = Trouble::Full(failure);
                self.note_trouble(trouble.clone());
                return Err(trouble);
            }
            return Ok(self.point(mark));
        }
    }

    fn has_unsettled(&self) -> bool {
        let state = self.inner.state.borrow();
        state.marked_dirty
            || self.inner.framing.get()
            || state.progress.segment_durable() < state.progress.reached(Level::Written)
    }

    /// Where the log ends in its flushed segments.
    fn point(&self, mark: Mark) -> PartitionPoint {
        let ends = self.inner.log.ends();
        let state = self.inner.state.borrow();
        let base = PartitionPoint {
            partition: self.inner.id,
            mark,
            log_start: state.log_start,
            recovery_point: ends.durable,
            end: ends.durable,
            segment_base: ends.durable,
            // No segment is this long: the files must be looked at.
            segment_len_bytes: u64::MAX,
            largest_timestamp_ms: -1,
            leader_epoch: state.epochs.latest().unwrap_or(LeaderEpoch::ZERO),
            high_watermark: state.high_watermark.min(ends.durable),
        };
        match self.inner.log.tail() {
            None => base,
            Some(tail) => PartitionPoint {
                end: tail.end,
                segment_base: tail.segment_base,
                segment_len_bytes: tail.len_bytes,
                largest_timestamp_ms: tail.largest_timestamp_ms,
                ..base
            },
        }
    }
}
