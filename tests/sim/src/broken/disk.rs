//! The disk on which a rule is broken.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use buf::{Buffer, Pool, Sealed, page_up};
use env::{Disk, Entry, Env, File, Group, IoFailure, OpenMode, Space, Stat};

use super::{Rule, stale};

/// Memory for reading a journal file whole: twice the largest of the tests.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// The disk of `E`, on which one rule does not hold.
#[derive(Clone)]
pub struct BrokenDisk<E> {
    env: E,
    rule: Rule,
    /// Of its own, so that the broker has all of its memory.
    pool: Pool,
}

/// A file of a [`BrokenDisk`].
pub struct BrokenFile<E: Env> {
    inner: <E::Disk as Disk>::File,
    path: Rc<Path>,
    disk: BrokenDisk<E>,
}

impl<E: Env> BrokenDisk<E> {
    pub(super) fn new(env: E, rule: Rule) -> BrokenDisk<E> {
        let pool = Pool::new(env.shard().0, WHOLE_BYTES_MAX);
        BrokenDisk { env, rule, pool }
    }

    fn inner(&self) -> &E::Disk {
        self.env.disk()
    }
}

impl<E: Env> Disk for BrokenDisk<E> {
    type File = BrokenFile<E>;

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<BrokenFile<E>, IoFailure> {
        let inner = self.inner().open(path, mode).await?;
        Ok(BrokenFile { inner, path: path.into(), disk: self.clone() })
    }

    async fn create_dir(&self, path: &Path) -> Result<(), IoFailure> {
        self.inner().create_dir(path).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        self.inner().rename(from, to).await
    }

    async fn remove_file(&self, path: &Path) -> Result<(), IoFailure> {
        self.inner().remove_file(path).await
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), IoFailure> {
        self.inner().remove_dir(path).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<Entry>, IoFailure> {
        self.inner().list(path).await
    }

    async fn stat(&self, path: &Path) -> Result<Option<Stat>, IoFailure> {
        self.inner().stat(path).await
    }

    async fn space(&self) -> Result<Option<Space>, IoFailure> {
        self.inner().space().await
    }

    async fn sync_dir(&self, path: &Path) -> Result<(), IoFailure> {
        if self.rule == Rule::NoDirectorySync {
            return Ok(());
        }
        self.inner().sync_dir(path).await
    }
}

impl<E: Env> BrokenFile<E> {
    fn acknowledges(&self) -> bool {
        stale::is_journal(&self.path) || self.path.extension().is_some_and(|e| e == "log")
    }

    /// A read that finds the frames of earlier uses valid.
    async fn read_revived(
        &self,
        mut into: Buffer,
        len: usize,
        position: u64,
        group: Group,
    ) -> (Result<usize, IoFailure>, Buffer) {
        let whole = match self.read_whole(group).await {
            Ok(whole) => whole,
            Err(failure) => return (Err(failure), into),
        };
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(whole.len());
        let part = &whole[from..whole.len().min(from + len)];
        into.as_mut_slice()[..part.len()].copy_from_slice(part);
        (Ok(part.len()), into)
    }

    async fn read_whole(&self, group: Group) -> Result<Vec<u8>, IoFailure> {
        let len = usize::try_from(self.inner.len().await?).unwrap_or(usize::MAX);
        let buffer =
            self.disk.pool.buffer(page_up(len)).map_err(|_| {
                IoFailure::of_kind("read", &self.path, std::io::ErrorKind::OutOfMemory)
            })?;
        let (read, buffer) = self.inner.read_at(buffer, page_up(len), 0, group).await;
        let mut whole = buffer.as_slice()[..read?].to_vec();
        stale::revive(&mut whole);
        Ok(whole)
    }
}

impl<E: Env> File for BrokenFile<E> {
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
        if self.disk.rule == Rule::StaleFrames && stale::is_journal(&self.path) {
            return self.read_revived(into, len, position, group).await;
        }
        self.inner.read_at(into, len, position, group).await
    }

    async fn write_at(&self, data: Sealed, position: u64, group: Group) -> Result<(), IoFailure> {
        self.inner.write_at(data, position, group).await
    }

    async fn sync(&self, group: Group) -> Result<(), IoFailure> {
        if self.disk.rule == Rule::AcknowledgedBeforeFlush && self.acknowledges() {
            let file = self.inner.clone();
            self.disk.env.spawn(group, async move {
                let _ = file.sync(group).await;
            });
            return Ok(());
        }
        self.inner.sync(group).await
    }

    async fn allocate(&self, len: u64) -> Result<(), IoFailure> {
        self.inner.allocate(len).await
    }

    async fn set_len(&self, len: u64) -> Result<(), IoFailure> {
        self.inner.set_len(len).await
    }

    async fn len(&self) -> Result<u64, IoFailure> {
        self.inner.len().await
    }
}

impl<E: Env> Clone for BrokenFile<E> {
    fn clone(&self) -> BrokenFile<E> {
        let (inner, path) = (self.inner.clone(), Rc::clone(&self.path));
        BrokenFile { inner, path, disk: self.disk.clone() }
    }
}

impl<E> fmt::Debug for BrokenDisk<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokenDisk({:?})", self.rule)
    }
}

impl<E: Env> fmt::Debug for BrokenFile<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokenFile({}, {:?})", self.path.display(), self.disk.rule)
    }
}
