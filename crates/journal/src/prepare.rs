//! What goes on ahead of the commits: the space they will need is filled with zeros, and the next
//! file is created, so that their flushes change no metadata.
//!
//! Nothing here makes anything durable, and nothing depends on it: a commit that finds nothing
//! prepared writes all the same.

use std::ops::Range;
use std::path::PathBuf;

use env::{Env, File, IoFailure};

use crate::error::JournalError;
use crate::file::{JournalFile, UPKEEP, write_zeros};
use crate::journal::{FileOf, Health, Journal, Upkeep, passes};
use crate::layout::FileId;
use crate::limits::PREPARE_PIECE_BYTES;

enum Work<F> {
    Zeros { file: F, path: PathBuf, id: FileId, range: Range<u64> },
    Create,
}

impl<E: Env> Journal<E> {
    /// Starts upkeep if there is any and none is running.
    pub(crate) fn tend(&self) {
        if self.inner.tending.get() {
            return;
        }
        if let Some(work) = self.next_work() {
            self.inner.tending.set(true);
            let journal = self.clone();
            self.inner.env.spawn(UPKEEP, async move { journal.upkeep(work).await });
        }
    }

    /// Decides what is to be done, and claims it.
    fn next_work(&self) -> Option<Work<FileOf<E>>> {
        let file_bytes = self.inner.options.file_bytes;
        let state = &mut *self.inner.state.borrow_mut();
        if state.health != Health::Sound || state.upkeep != Upkeep::Idle {
            return None;
        }
        let current = state.current.as_ref()?;
        let (position, prepared) = (current.position, current.prepared);
        if prepared < file_bytes && prepared - position < PREPARE_PIECE_BYTES {
            let range = prepared..(prepared + PREPARE_PIECE_BYTES).min(file_bytes);
            let (file, path, id) = (current.file.clone(), current.path.clone(), current.id);
            state.upkeep = Upkeep::Zeros;
            return Some(Work::Zeros { file, path, id, range });
        }
        if state.spare.is_empty()
            && state.files() < self.inner.options.files_max
            && file_bytes / 2 < position
        {
            state.upkeep = Upkeep::Create;
            return Some(Work::Create);
        }
        None
    }

    async fn upkeep(&self, first: Work<FileOf<E>>) {
        let mut next = Some(first);
        while let Some(work) = next {
            let done = match work {
                Work::Zeros { file, path, id, range } => {
                    self.fill(&file, path, range.clone()).await.map(|()| {
                        let state = &mut *self.inner.state.borrow_mut();
                        if let Some(current) = state.current.as_mut().filter(|c| c.id == id) {
                            current.prepared = current.prepared.max(range.end);
                        }
                    })
                }
                Work::Create => self.create_file().await.map(|file| {
                    self.inner.state.borrow_mut().spare.push_back(file);
                }),
            };
            let then = if done.is_ok() { Upkeep::Idle } else { Upkeep::Stopped };
            self.inner.state.borrow_mut().upkeep = then;
            self.inner.prepared.notify();
            next = self.next_work();
        }
        self.inner.tending.set(false);
    }

    async fn fill(
        &self,
        file: &FileOf<E>,
        path: PathBuf,
        range: Range<u64>,
    ) -> Result<(), IoFailure> {
        file.allocate(range.end).await?;
        write_zeros(file, &path, &self.inner.pool, range).await
    }

    /// Creates a file under a new number.
    pub(crate) async fn create_file(&self) -> Result<JournalFile<FileOf<E>>, IoFailure> {
        let inner = &self.inner;
        let id = {
            let state = &mut *inner.state.borrow_mut();
            let number = state.new_number();
            state.identify(number, &inner.options, &inner.env)
        };
        JournalFile::create(&inner.env, &inner.pool, id, inner.options.file_bytes).await
    }

    /// The same, and once more if the device refuses.
    pub(crate) async fn create_file_or_fail(&self) -> Result<JournalFile<FileOf<E>>, JournalError> {
        let created = match self.create_file().await {
            Err(failure) if !passes(&failure) => self.create_file().await,
            other => other,
        };
        created.map_err(|failure| {
            if passes(&failure) {
                return JournalError::Full(failure);
            }
            self.inner.state.borrow_mut().health = Health::Failed(failure.clone());
            JournalError::Failed(failure)
        })
    }

    /// Makes a spare or new file the current one. Says whether that took waiting.
    pub(crate) async fn next_file(&self) -> Result<bool, JournalError> {
        self.upkeep_idle().await;
        let spare = {
            let state = &mut *self.inner.state.borrow_mut();
            let files = state.files();
            let spare = state.spare.pop_front();
            if spare.is_none() && self.inner.options.files_max <= files {
                return Err(JournalError::Behind { files });
            }
            spare
        };
        let waited = spare.is_none();
        let file = match spare {
            Some(file) => file,
            None => self.create_file_or_fail().await?,
        };
        let state = &mut *self.inner.state.borrow_mut();
        if let Some(full) = state.current.replace(file) {
            state.full.push_back(full);
        }
        if state.upkeep == Upkeep::Stopped {
            state.upkeep = Upkeep::Idle;
        }
        Ok(waited)
    }

    /// Waits until upkeep writes nothing. Zeros that are still on their way to a file must not
    /// meet it in its next use.
    pub(crate) async fn upkeep_idle(&self) {
        loop {
            let seen = self.inner.prepared.seen();
            match self.inner.state.borrow().upkeep {
                Upkeep::Idle | Upkeep::Stopped => return,
                Upkeep::Zeros | Upkeep::Create => {}
            }
            self.inner.prepared.after(seen).await;
        }
    }
}
