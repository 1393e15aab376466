//! What happens to a whole log: its start moves, its tail is cut, it is closed, it is removed.

use env::{Env, Group, IoFailure};
use journal::{Item, JournalError};
use record::Offset;
use segment::{LogOptions, ReadError, WriteError};

use crate::open::Recovered;
use crate::partition::{Partition, Trouble};
use crate::retention::{self, Extent, Retain, Retention};
use crate::{Committer, partition::FetchError};

/// Records could not be deleted; the log start is unchanged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Beyond the high watermark, or negative.
    #[error("offset out of range")]
    OutOfRange,
    /// This node does not lead.
    #[error("not the leader")]
    NotLeader,
    /// The journal did not take it.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<DeleteRecordsError> for FetchError {
    fn from(error: DeleteRecordsError) -> FetchError {
        match error {
            DeleteRecordsError::OutOfRange => FetchError::OutOfRange,
            DeleteRecordsError::NotLeader | DeleteRecordsError::Journal(_) => FetchError::NotLeader,
        }
    }
}

impl<E: Env> Partition<E> {
    /// DeleteRecords: moves the log start to `to`, `None` for the high watermark, and gives the
    /// new start. Durable in the journal when it returns; segments go later, by retention.
    pub async fn delete_records(
        &self,
        to: Option<Offset>,
        committer: &Committer<E>,
    ) -> Result<Offset, DeleteRecordsError> {
        if self.role().leadership().is_none() {
            return Err(DeleteRecordsError::NotLeader);
        }
        let bounds = self.bounds();
        let to = to.unwrap_or(bounds.high_watermark);
        if bounds.high_watermark < to {
            return Err(DeleteRecordsError::OutOfRange);
        }
        if to <= bounds.log_start {
            return Ok(bounds.log_start);
        }
        committer.note_start(self, to).await?;
        self.raise_start(to);
        Ok(to)
    }

    /// Applies the topic's retention once; whole segments go. Returns whether any did.
    pub async fn retain(
        &self,
        rule: Retention,
        committer: &Committer<E>,
        now_ms: i64,
    ) -> Result<bool, RetainError> {
        if rule.max_age_ms.is_some() {
            self.inner.log.load_timestamps(Group::Retention).await?;
        }
        let bounds = self.bounds();
        let segments = self.inner.log.segments();
        let extents: Vec<Extent> = segments
            .iter()
            .map(|segment| Extent {
                next: segment.next,
                len_bytes: segment.len_bytes,
                largest_timestamp_ms: match segment.largest_timestamp_ms {
                    // Not known is as young as can be: nothing goes by a guess.
                    None => i64::MAX,
                    // Records without timestamps: Kafka takes the file's time, which is no later.
                    Some(none) if none < 0 => segment.since_ms,
                    Some(largest_ms) => largest_ms,
                },
            })
            .collect();
        let decided =
            retention::decide(&extents, rule, bounds.log_start, bounds.high_watermark, now_ms);
        let Retain::From { start, .. } = decided else { return Ok(false) };
        if bounds.log_start < start {
            committer.note_start(self, start).await?;
            self.raise_start(start);
        }
        self.inner.log.advance_start(start, Group::Retention).await?;
        Ok(true)
    }

    /// Cuts the batch that holds `to` and everything after it (a follower whose leader wrote
    /// otherwise). Durable when it returns.
    pub async fn truncate(&self, to: Offset, committer: &Committer<E>) -> Result<(), RetainError> {
        // Before the files: a snapshot must not outlive what it speaks of.
        self.drop_snapshots_above(to).await?;
        // Before the journal: replay never cuts files, it only voids what the journal held.
        let end = self.inner.log.truncate(to, Group::System).await?;
        committer.note_truncation(self, end).await?;
        {
            let mut state = self.inner.state.borrow_mut();
            state.progress.truncated(end);
            state.epochs.truncate_end(end);
            state.epochs_due = true;
            state.high_watermark = state.high_watermark.min(end);
        }
        self.rebuild_state(end, &mut Recovered::default()).await?;
        self.inner.moved.notify();
        Ok(())
    }

    /// Changes how the log is kept from the next batch on.
    pub fn set_log_options(&self, options: LogOptions) {
        self.inner.log.set_options(options);
    }

    /// Forgets producers that were silent for too long.
    pub fn expire_producers(&self, now_ms: i64, expiration_ms: i64) {
        self.inner.state.borrow_mut().producers.expire(now_ms, expiration_ms);
    }

    /// A clean stop: everything is in flushed segments, cut to their ends, with indexes,
    /// snapshot and epochs as Kafka expects them. No role is left.
    pub async fn close(&self, group: Group) -> Result<(), Trouble> {
        self.inner.state.borrow_mut().closing = true;
        while self.inner.direct.get() {
            let seen = self.inner.moved.seen();
            if self.inner.direct.get() {
                self.inner.moved.after(seen).await;
            }
        }
        self.complete_aborted(group).await?;
        self.write_segment(group).await?;
        self.flush_segment(group).await?;
        // What was appended is acknowledged by now; only then is the role given up.
        self.resign();
        let full = |failure: IoFailure| Trouble::Full(failure);
        let snapshot = self.snapshot_now();
        self.inner.state.borrow_mut().epochs_due = true;
        self.save_beside(snapshot, group).await.map_err(full)?;
        self.inner.log.close(group).await.map_err(|error| self.write_failed(error))
    }

    fn raise_start(&self, to: Offset) {
        {
            let mut state = self.inner.state.borrow_mut();
            state.log_start = state.log_start.max(to);
            let start = state.log_start;
            state.epochs.truncate_start(start);
            state.epochs_due = true;
            state.high_watermark = state.high_watermark.max(start);
            let high_watermark = state.high_watermark;
            state.producers.committed(high_watermark);
        }
        self.inner.moved.notify();
    }
}

/// Old records could not be dropped; what was dropped before the failure stays dropped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RetainError {
    /// The journal did not take the new start or end.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file could not be cut or removed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The log could not be read to find the place, or what its producers did before it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file beside the log.
    #[error(transparent)]
    Io(#[from] IoFailure),
}

impl<E: Env> Committer<E> {
    async fn note_start(&self, partition: &Partition<E>, to: Offset) -> Result<(), JournalError> {
        self.note(partition, Item::StartAdvanced { partition: partition.id(), to }).await
    }

    async fn note_truncation(
        &self,
        partition: &Partition<E>,
        to: Offset,
    ) -> Result<(), JournalError> {
        self.note(partition, Item::Truncated { partition: partition.id(), to }).await
    }
}
