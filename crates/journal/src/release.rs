//! Giving files back: recycled while the broker runs, removed when it stops.
//!
//! Files go strictly from the oldest on, each durably before the next, and not before those of
//! earlier runs are gone. So what a crash leaves is always the newest part of the history, and
//! an entry that makes older ones void is never lost before them.

use std::path::{Path, PathBuf};

use env::{Disk, Env, IoFailure};
use record::TopicPartition;

use crate::error::ReleaseError;
use crate::file::JournalFile;
use crate::holdings::Settled;
use crate::journal::{Health, Journal};
use crate::layout::{Mark, parse_name};

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
        let files: Vec<PathBuf> = {
            let state = &mut *self.inner.state.borrow_mut();
            state.held.clear();
            let oldest_first = state.full.drain(..).chain(state.current.take());
            oldest_first.chain(state.spare.drain(..)).map(|file| file.path).collect()
        };
        for path in files {
            remove_durably(&self.inner.env, &path).await?;
        }
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
        let (file, path, id, prepared) = {
            let state = &mut *inner.state.borrow_mut();
            let enough = inner.options.files_max < state.files();
            let sound = state.health == Health::Sound;
            let oldest = state.full.front_mut().expect("the caller saw it");
            let (file, path) = (oldest.file.clone(), oldest.path.clone());
            let (number, prepared) = (oldest.id.number, oldest.prepared);
            let usable = !std::mem::replace(&mut oldest.abandoned, true);
            let recycled = usable && !enough && sound;
            let id = recycled.then(|| state.identify(number, &inner.options, &inner.env));
            (file, path, id, prepared)
        };
        let recycled = match id {
            Some(id) => JournalFile::recycle(file, &inner.pool, id, prepared).await.ok(),
            None => None,
        };
        if recycled.is_none() {
            remove_durably(&inner.env, &path).await?;
        }
        let state = &mut *inner.state.borrow_mut();
        state.full.pop_front();
        if let Some(file) = recycled {
            state.spare.push_back(file);
            state.metrics.files_recycled += 1;
        }
        Ok(())
    }
}

/// Removes `path`, which need not exist any more.
pub(crate) async fn remove_durably<E: Env>(env: &E, path: &Path) -> Result<(), IoFailure> {
    match env.disk().remove_file(path).await {
        Err(failure) if failure.kind != std::io::ErrorKind::NotFound => Err(failure),
        _ => env.disk().sync_dir(Path::new("")).await,
    }
}
