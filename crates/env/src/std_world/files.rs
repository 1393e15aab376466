//! Blocking files under one directory.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use buf::{Buffer, Sealed};

use crate::{Disk, Entry, File, Group, IoFailure, OpenMode, RootFence, Stat};

/// The files under one directory of the machine. Never direct: tools run anywhere.
#[derive(Clone, Debug)]
pub struct StdDisk {
    root: Rc<Path>,
    root_fence: RootFence,
}

impl StdDisk {
    /// The tree under `root`, which must exist.
    #[must_use]
    pub fn new(root: &Path) -> StdDisk {
        StdDisk { root: root.into(), root_fence: RootFence::default() }
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }
}

/// A file opened by [`StdDisk`].
#[derive(Clone, Debug)]
pub struct StdFile {
    file: Rc<fs::File>,
    path: Rc<Path>,
}

impl StdFile {
    fn failure(&self, op: &'static str) -> impl Fn(io::Error) -> IoFailure + '_ {
        move |error| IoFailure::new(op, &self.path, &error)
    }
}

impl Disk for StdDisk {
    type File = StdFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<StdFile, IoFailure> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).mode(0o644);
        options.create(mode.create && !mode.exclusive).create_new(mode.exclusive);
        let file = options.open(self.at(path)).map_err(|e| IoFailure::new("open", path, &e))?;
        Ok(StdFile { file: Rc::new(file), path: path.into() })
    }

    async fn create_dir(&self, path: &Path) -> Result<(), IoFailure> {
        match fs::create_dir(self.at(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(IoFailure::new("create_dir", path, &error))
            }
            _ => Ok(()),
        }
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        fs::rename(self.at(from), self.at(to)).map_err(|e| IoFailure::new("rename", from, &e))
    }

    async fn remove_file(&self, path: &Path) -> Result<(), IoFailure> {
        fs::remove_file(self.at(path)).map_err(|e| IoFailure::new("remove", path, &e))
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), IoFailure> {
        fs::remove_dir(self.at(path)).map_err(|e| IoFailure::new("remove_dir", path, &e))
    }

    async fn list(&self, path: &Path) -> Result<Vec<Entry>, IoFailure> {
        let failure = |e: io::Error| IoFailure::new("list", path, &e);
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(path)).map_err(failure)? {
            let entry = entry.map_err(failure)?;
            let is_dir = entry.file_type().map_err(failure)?.is_dir();
            // A name that is not text is nobody's of ours.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, is_dir });
            }
        }
        entries.sort();
        Ok(entries)
    }

    async fn stat(&self, path: &Path) -> Result<Option<Stat>, IoFailure> {
        match fs::metadata(self.at(path)) {
            Ok(found) => {
                let len = if found.is_dir() { 0 } else { found.len() };
                Ok(Some(Stat { is_dir: found.is_dir(), len }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(IoFailure::new("stat", path, &error)),
        }
    }

    async fn sync_dir(&self, path: &Path) -> Result<(), IoFailure> {
        self.root_fence.check(path)?;
        let failed = |error: io::Error| IoFailure::new("sync_dir", path, &error);
        let dir = fs::File::open(self.at(path)).map_err(failed)?;
        self.root_fence.note(path, dir.sync_all().map_err(failed))
    }
}

impl File for StdFile {
    fn alignment(&self) -> usize {
        1
    }

    async fn read_at(
        &self,
        mut into: Buffer,
        len: usize,
        position: u64,
        _group: Group,
    ) -> (Result<usize, IoFailure>, Buffer) {
        let mut read = 0;
        while read < len {
            match self.file.read_at(&mut into.as_mut_slice()[read..len], position + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(self.failure("read")(error)), into),
            }
        }
        (Ok(read), into)
    }

    async fn write_at(&self, data: Sealed, position: u64, _: Group) -> Result<(), IoFailure> {
        self.file.write_all_at(&data, position).map_err(self.failure("write"))
    }

    async fn sync(&self, _: Group) -> Result<(), IoFailure> {
        self.file.sync_data().map_err(self.failure("sync"))
    }

    async fn allocate(&self, len: u64) -> Result<(), IoFailure> {
        let now = self.file.metadata().map_err(self.failure("allocate"))?.len();
        if now < len {
            self.file.set_len(len).map_err(self.failure("allocate"))?;
        }
        Ok(())
    }

    async fn set_len(&self, len: u64) -> Result<(), IoFailure> {
        self.file.set_len(len).map_err(self.failure("set_len"))
    }

    async fn len(&self) -> Result<u64, IoFailure> {
        Ok(self.file.metadata().map_err(self.failure("stat"))?.len())
    }
}
