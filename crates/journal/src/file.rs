//! One journal file in use: creating it, giving it a new identity, filling it with zeros.

use std::path::{Path, PathBuf};

use buf::{PAGE, Pool, Sealed};
use env::{Disk, Env, File, Group, IoFailure, OpenMode};

use crate::holdings::Holdings;
use crate::layout::{FileId, file_name};
use crate::limits::{PREPARE_FIRST_BYTES, PREPARE_WRITE_BYTES};

/// The group of the journal's own upkeep. Commits may wait for it, so it is not a background one.
pub(crate) const UPKEEP: Group = Group::System;

/// A file that takes frames, took them, or will.
#[derive(Debug)]
pub(crate) struct JournalFile<F> {
    pub(crate) file: F,
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    /// Where the next frame goes, in bytes.
    pub(crate) position: u64,
    /// The next frame's place in the file.
    pub(crate) ordinal: u32,
    /// Below it the file was written before, with zeros or with frames.
    pub(crate) prepared: u64,
    pub(crate) holdings: Holdings,
    /// A write or flush of it failed or was given up: it is read after a crash, never written.
    pub(crate) abandoned: bool,
}

impl<F: File> JournalFile<F> {
    /// An empty file with the identity `id`, which its header page says.
    fn of(file: F, id: FileId, prepared: u64) -> JournalFile<F> {
        JournalFile {
            file,
            path: file_name(id.shard, id.number),
            id,
            position: PAGE as u64,
            ordinal: 0,
            prepared,
            holdings: Holdings::default(),
            abandoned: false,
        }
    }

    /// Creates the file of `id`, with its header page and some zeros; everything is durable when it
    /// returns. On an error the file is removed again if the device lets us.
    pub(crate) async fn create<E>(
        env: &E,
        pool: &Pool,
        id: FileId,
        file_bytes: u64,
    ) -> Result<JournalFile<F>, IoFailure>
    where
        E: Env,
        E::Disk: Disk<File = F>,
    {
        let path = file_name(id.shard, id.number);
        let file = env.disk().open(&path, OpenMode::new_file().direct()).await?;
        let until = PREPARE_FIRST_BYTES.min(file_bytes);
        let filled = async {
            file.allocate(until).await?;
            write_header(&file, &path, pool, id).await?;
            write_zeros(&file, &path, pool, PAGE as u64..until).await?;
            file.sync(UPKEEP).await?;
            env.disk().sync_dir(Path::new("")).await
        };
        match filled.await {
            Ok(()) => Ok(JournalFile::of(file, id, until)),
            Err(failure) => {
                // A file that stays has no frames: replay finds nothing in it.
                let _ = env.disk().remove_file(&path).await;
                Err(failure)
            }
        }
    }

    /// A settled file under the new identity `id`, whose header page is durable when this
    /// returns. Not one of the old frames fits the new identity.
    pub(crate) async fn recycle(
        file: F,
        pool: &Pool,
        id: FileId,
        prepared: u64,
    ) -> Result<JournalFile<F>, IoFailure> {
        give_identity(&file, pool, id).await?;
        Ok(JournalFile::of(file, id, prepared))
    }

    /// Whether a frame of `len` bytes fits behind the others.
    pub(crate) fn fits(&self, len: usize, file_bytes: u64) -> bool {
        self.position + len as u64 <= file_bytes
    }
}

fn buffer(pool: &Pool, len: usize, path: &Path) -> Result<buf::Buffer, IoFailure> {
    pool.buffer(len).map_err(|_| IoFailure::of_kind("write", path, std::io::ErrorKind::OutOfMemory))
}

/// Gives `file` the identity `id`, durably, and so makes its frames void.
pub(crate) async fn give_identity<F: File>(
    file: &F,
    pool: &Pool,
    id: FileId,
) -> Result<(), IoFailure> {
    write_header(file, &file_name(id.shard, id.number), pool, id).await?;
    file.sync(UPKEEP).await
}

async fn write_header<F: File>(
    file: &F,
    path: &Path,
    pool: &Pool,
    id: FileId,
) -> Result<(), IoFailure> {
    let mut page = buffer(pool, PAGE, path)?;
    id.write_page(&mut page.as_mut_slice()[..PAGE]);
    file.write_at(page.seal(PAGE), 0, UPKEEP).await
}

/// Fills `range`, whole pages, with zeros, in bounded writes.
pub(crate) async fn write_zeros<F: File>(
    file: &F,
    path: &Path,
    pool: &Pool,
    range: std::ops::Range<u64>,
) -> Result<(), IoFailure> {
    let mut zeros: Option<Sealed> = None;
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let len = left.min(PREPARE_WRITE_BYTES);
        let view = match &zeros {
            Some(view) => view.slice(0..len),
            None => {
                let mut fresh = buffer(pool, len, path)?;
                fresh.as_mut_slice().fill(0);
                zeros.insert(fresh.seal(len)).clone()
            }
        };
        file.write_at(view, at, UPKEEP).await?;
        at += len as u64;
    }
    Ok(())
}
