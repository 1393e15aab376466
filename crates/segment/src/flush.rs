//! From the segment files to stable storage.

use env::sync::all;
use env::{Disk, Env, File, Group};
use record::Offset;

use crate::WriteError;
use crate::log::Log;
use crate::segment::Segment;

impl<E: Env> Log<E> {
    /// Flushes everything that was written before the call, with the names of new files, and
    /// gives the offset below which everything is durable now. A failure fences the log. If the
    /// future is dropped the flush goes on.
    pub async fn flush(&self, group: Group) -> Result<Offset, WriteError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _turn = log.inner.flush_gate.enter().await;
            log.flush_held(group).await
        })
        .await
    }

    /// [`flush`](Log::flush), by whoever holds the flush gate.
    pub(crate) async fn flush_held(&self, group: Group) -> Result<Offset, WriteError> {
        let (written, dir_changes, due) = {
            let state = self.inner.state.borrow();
            state.check_fence()?;
            let segments = state.segments.range(state.flushed_below..).map(|(_, segment)| segment);
            let due: Vec<_> = segments.filter(|segment| segment.is_unflushed()).map(due).collect();
            (state.written(), state.dir_changes, due)
        };
        for Due { base, changes, log_file, index_files, aborted } in due {
            let open = match log_file {
                Some(file) => file,
                None => self.log_file(base).await.map_err(|failure| self.failed(failure))?,
            };
            let count = index_files.len();
            let (aborted, aborted_changes) = aborted;
            let files = index_files.into_iter().chain(aborted).chain([open]);
            let syncs = files.map(|file| async move { file.sync(group).await });
            for synced in all(syncs.collect()).await {
                synced.map_err(|failure| self.fence(failure))?;
            }
            let mut state = self.inner.state.borrow_mut();
            if let Some(segment) = state.segments.get_mut(&base) {
                segment.log_file.flushed = segment.log_file.flushed.max(changes);
                segment.indexes.unflushed.drain(..count.min(segment.indexes.unflushed.len()));
                segment.aborted.flushed_to(aborted_changes);
            }
        }
        self.flush_dir(dir_changes).await?;
        let mut state = self.inner.state.borrow_mut();
        let mut rest = state.segments.range(state.flushed_below..).map(|(_, segment)| segment);
        let first_unflushed = rest.find(|segment| segment.is_unflushed()).map(|s| s.base);
        state.flushed_below = first_unflushed.unwrap_or_else(|| state.active_base());
        state.durable = state.durable.max(written.min(state.end()));
        Ok(state.durable)
    }

    /// Makes names durable, if there are new ones.
    async fn flush_dir(&self, dir_changes: u64) -> Result<(), WriteError> {
        let flushed = self.inner.state.borrow().dir_flushed;
        if flushed < dir_changes {
            let synced = self.inner.env.disk().sync_dir(&self.inner.dir).await;
            synced.map_err(|failure| self.fence(failure))?;
            let mut state = self.inner.state.borrow_mut();
            state.dir_flushed = state.dir_flushed.max(dir_changes);
        }
        Ok(())
    }

    /// Makes removed and renamed files durable.
    pub(crate) async fn sync_dir_held(&self) -> Result<(), WriteError> {
        let dir_changes = self.inner.state.borrow().dir_changes;
        self.flush_dir(dir_changes).await
    }
}

/// A segment to be flushed.
struct Due<F> {
    base: Offset,
    changes: u64,
    log_file: Option<F>,
    index_files: Vec<F>,
    /// The index of aborted transactions, and how many of its changes this covers.
    aborted: (Option<F>, u64),
}

fn due<F: Clone>(segment: &Segment<F>) -> Due<F> {
    Due {
        base: segment.base,
        changes: segment.log_file.changes,
        log_file: segment.log_file.handle.clone(),
        index_files: segment.indexes.unflushed.clone(),
        aborted: (segment.aborted.handle.clone(), segment.aborted.changes),
    }
}
