//! The disk that records.

use std::path::Path;

use buf::{Buffer, Sealed};

use super::Recording;
use super::log::{Act, FileId};
use crate::{Disk, Entry, File, Group, IoFailure, OpenMode, Space, Stat};

/// Does what `D` does, and writes it down.
#[derive(Clone, Debug)]
pub struct RecordingDisk<D> {
    inner: D,
    recording: Recording,
}

/// A file of a [`RecordingDisk`].
#[derive(Clone, Debug)]
pub struct RecordingFile<F> {
    inner: F,
    file: FileId,
    recording: Recording,
}

impl Recording {
    /// Writes `act` down, lets `doing` happen, writes down how it ended.
    async fn record<T>(
        &self,
        act: Act,
        doing: impl Future<Output = Result<T, IoFailure>>,
    ) -> Result<T, IoFailure> {
        let begun = self.log().begin(act);
        let result = doing.await;
        self.log().done(begun, result.is_ok());
        result
    }
}

impl<D> RecordingDisk<D> {
    /// Records what is done through this handle and its clones to `inner`. Every handle to the
    /// directory must record, and to the same recording.
    #[must_use]
    pub fn new(inner: D, recording: &Recording) -> RecordingDisk<D> {
        RecordingDisk { inner, recording: recording.clone() }
    }
}

impl<D: Disk> Disk for RecordingDisk<D> {
    type File = RecordingFile<D::File>;

    /// # Panics
    /// If there is a file that the recording has not seen and that is not in its base.
    async fn open(&self, path: &Path, mode: OpenMode) -> Result<Self::File, IoFailure> {
        let mut creates = None;
        {
            let mut log = self.recording.log();
            if mode.create && log.file(path).is_none() {
                let file = log.new_file(path);
                creates = Some((file, Act::Create { path: path.to_path_buf(), file }));
            }
        }
        let opening = self.inner.open(path, mode);
        let (file, inner) = match creates {
            Some((file, act)) => (Some(file), self.recording.record(act, opening).await?),
            None => {
                let inner = opening.await?;
                (self.recording.log().file(path), inner)
            }
        };
        let file = file.unwrap_or_else(|| {
            panic!("{} is there and the recording does not know it", path.display())
        });
        Ok(RecordingFile { inner, file, recording: self.recording.clone() })
    }

    async fn create_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let act = Act::CreateDir { path: path.to_path_buf() };
        self.recording.record(act, self.inner.create_dir(path)).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        let act = Act::Rename { from: from.to_path_buf(), to: to.to_path_buf() };
        self.recording.record(act, self.inner.rename(from, to)).await
    }

    async fn remove_file(&self, path: &Path) -> Result<(), IoFailure> {
        let act = Act::Remove { path: path.to_path_buf(), is_dir: false };
        self.recording.record(act, self.inner.remove_file(path)).await
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let act = Act::Remove { path: path.to_path_buf(), is_dir: true };
        self.recording.record(act, self.inner.remove_dir(path)).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<Entry>, IoFailure> {
        self.inner.list(path).await
    }

    async fn stat(&self, path: &Path) -> Result<Option<Stat>, IoFailure> {
        self.inner.stat(path).await
    }

    async fn space(&self) -> Result<Option<Space>, IoFailure> {
        self.inner.space().await
    }

    async fn sync_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let act = Act::SyncDir { path: path.to_path_buf() };
        self.recording.record(act, self.inner.sync_dir(path)).await
    }
}

impl<F: File> File for RecordingFile<F> {
    fn alignment(&self) -> usize {
        self.inner.alignment()
    }

    async fn read_at(
        &self,
        into: Buffer,
        len: usize,
        position: u64,
        group: Group,
    ) -> (Result<usize, IoFailure>, Buffer) {
        self.inner.read_at(into, len, position, group).await
    }

    async fn write_at(&self, data: Sealed, position: u64, group: Group) -> Result<(), IoFailure> {
        // A copy, not the view: a view would hold the shard's memory for as long as the log.
        let act = Act::Write { file: self.file, position, data: data[..].into() };
        self.recording.record(act, self.inner.write_at(data, position, group)).await
    }

    async fn sync(&self, group: Group) -> Result<(), IoFailure> {
        self.recording.record(Act::Sync { file: self.file }, self.inner.sync(group)).await
    }

    async fn allocate(&self, len: u64) -> Result<(), IoFailure> {
        let act = Act::Allocate { file: self.file, len };
        self.recording.record(act, self.inner.allocate(len)).await
    }

    async fn set_len(&self, len: u64) -> Result<(), IoFailure> {
        let act = Act::SetLen { file: self.file, len };
        self.recording.record(act, self.inner.set_len(len)).await
    }

    async fn len(&self) -> Result<u64, IoFailure> {
        self.inner.len().await
    }
}
