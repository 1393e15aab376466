//! Giving files back: recycled while the broker runs, removed when it stops.
//!
//! Files go strictly from the oldest on, each durably before the next, and not before those of
//! earlier runs are gone. So what a crash leaves is always the newest part of the history, and
//! an entry that makes older ones void is never lost before them. A file goes by getting another
//! identity; removing it comes after, and if that is undone nothing comes back.

use std::path::Path;

use buf::Pool;
use env::{Disk, Env, IoFailure};
use record::TopicPartition;

use crate::error::ReleaseError;
use crate::file::{JournalFile, give_identity};
use crate::holdings::Settled;
use crate::journal::{FileOf, Health, Journal};
use crate::layout::{FileId, Mark, file_name, parse_name};

impl<E: Env> Journal<E> {
    /// Recycles the files that nothing is needed of any more, and says how many. Batches are
    /// settled by what `settled` says of their partition; everything else by a checkpoint that
    /// is durable and whose marks are all at least `checkpointed`. Nothing is recycled while a
    /// file of an earlier run exists.
    ///
    /// Dropping the future is harmless.
    pub async fn release(
        &self,
        checkpointed: Mark,
        settled: impl Fn(TopicPartition) -> Settled,
    ) -> Result<usize, ReleaseError> {
        let _turn = self.inner.releasing.enter().await;
        let run = self.inner.options.start.run;
        let below = if checkpointed.run < run { 0 } else { checkpointed.sequence };
        let mut released = 0;
        while self.oldest_is_settled(below, &settled) && self.see_old_files_gone().await? {
            self.free_oldest().await?;
            released += 1;
            self.inner.env.yield_if_needed().await;
        }
        if 0 < released {
            self.tend();
        }
        Ok(released)
    }

    /// Ends the journal after a clean stop: the caller has made everything in it durable
    /// elsewhere, in a checkpoint too. Later commits are refused. The files are removed, unless
    /// files of earlier runs still exist; then they stay, and replaying them changes nothing.
    pub async fn close(&self) -> Result<(), ReleaseError> {
        let _commits = self.inner.gate.enter().await;
        let _releases = self.inner.releasing.enter().await;
        self.inner.state.borrow_mut().health = Health::Closed;
        self.upkeep_idle().await;
        if !self.see_old_files_gone().await? {
            return Ok(());
        }
        let files: Vec<_> = {
            let state = self.inner.state.borrow();
            let oldest_first = state.full.iter().chain(&state.current).chain(&state.spare);
            oldest_first.map(|file| (file.file.clone(), file.id)).collect()
        };
        remove(&self.inner.env, &self.inner.pool, files).await?;
        let state = &mut *self.inner.state.borrow_mut();
        state.full.clear();
        state.current = None;
        state.spare.clear();
        state.held.clear();
        Ok(())
    }

    fn oldest_is_settled(
        &self,
        checkpointed: u64,
        settled: &impl Fn(TopicPartition) -> Settled,
    ) -> bool {
        let state = self.inner.state.borrow();
        let oldest = state.full.front();
        oldest.is_some_and(|file| file.holdings.are_settled(checkpointed, settled))
    }

    async fn see_old_files_gone(&self) -> Result<bool, ReleaseError> {
        if self.inner.state.borrow().old_files_gone {
            return Ok(true);
        }
        let first = self.inner.options.start.first_number;
        let entries = self.inner.env.disk().list(Path::new("")).await?;
        let gone = !entries
            .iter()
            .any(|entry| parse_name(&entry.name).is_some_and(|(_, number)| number < first));
        self.inner.state.borrow_mut().old_files_gone = gone;
        Ok(gone)
    }

    /// Takes the oldest file out of use. It stays the oldest until that is durable. A file whose
    /// new header failed, or was given up, is not used again.
    async fn free_oldest(&self) -> Result<(), ReleaseError> {
        let inner = &self.inner;
        let (file, id, prepared, reuse) = {
            let state = &mut *inner.state.borrow_mut();
            let enough = inner.options.files_max < state.files();
            let sound = state.health == Health::Sound;
            let oldest = state.full.front_mut().expect("the caller saw it");
            let usable = !std::mem::replace(&mut oldest.abandoned, true);
            let (file, number, prepared) = (oldest.file.clone(), oldest.id.number, oldest.prepared);
            let id = state.identify(number, &inner.options, &inner.env);
            (file, id, prepared, usable && !enough && sound)
        };
        let recycled = JournalFile::recycle(file, &inner.pool, id, prepared).await?;
        let path = {
            let state = &mut *inner.state.borrow_mut();
            state.full.pop_front();
            if reuse {
                state.spare.push_back(recycled);
                state.metrics.files_recycled += 1;
                return Ok(());
            }
            recycled.path
        };
        // It holds nothing. If it cannot be removed now, the next start does.
        let _ = inner.env.disk().remove_file(&path).await;
        Ok(())
    }
}

/// Makes `files`, oldest first, void, each durably before the next, and then removes them.
/// After an error or a drop, calling it again with the same files is right.
pub(crate) async fn remove<E: Env>(
    env: &E,
    pool: &Pool,
    files: Vec<(FileOf<E>, FileId)>,
) -> Result<(), IoFailure> {
    for (file, id) in &files {
        // Greater than that of any use, so that no frame can have it.
        let id = FileId { generation: u64::MAX, salt: env.random(), ..*id };
        give_identity(file, pool, id).await?;
        env.yield_if_needed().await;
    }
    for (_, id) in &files {
        match env.disk().remove_file(&file_name(id.shard, id.number)).await {
            Err(failure) if failure.kind != std::io::ErrorKind::NotFound => return Err(failure),
            _ => {}
        }
    }
    env.disk().sync_dir(Path::new("")).await
}
