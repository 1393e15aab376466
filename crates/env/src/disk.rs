//! A directory tree that may lose everything that was not synced.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use buf::{Buffer, Sealed};

use crate::Group;

/// A directory tree. Paths are relative to its root. A creation, rename or removal is durable
/// only after [`sync_dir`](Disk::sync_dir) of its parent directory.
pub trait Disk: Clone + 'static {
    /// An open file.
    type File: File;

    /// Opens or creates `path`, as `mode` says. `NotFound` when it must exist and does not,
    /// `AlreadyExists` when it must not and does.
    fn open(
        &self,
        path: &Path,
        mode: OpenMode,
    ) -> impl Future<Output = Result<Self::File, IoFailure>>;

    /// Creates the directory `path`; its parent must exist. Fine if it exists already.
    fn create_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoFailure>>;

    /// Atomically gives `from` the name `to`, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = Result<(), IoFailure>>;

    /// Removes a file. Open handles keep working until they are dropped.
    fn remove_file(&self, path: &Path) -> impl Future<Output = Result<(), IoFailure>>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoFailure>>;

    /// What is in the directory `path`, sorted by name. The root is the empty path.
    fn list(&self, path: &Path) -> impl Future<Output = Result<Vec<Entry>, IoFailure>>;

    /// What `path` is; `None` if there is nothing.
    fn stat(&self, path: &Path) -> impl Future<Output = Result<Option<Stat>, IoFailure>>;

    /// How much room the device has; `None` where that is not known.
    fn space(&self) -> impl Future<Output = Result<Option<Space>, IoFailure>> {
        async { Ok(None) }
    }

    /// Makes creations, renames and removals in `path` durable. A sync of the root that failed is
    /// final: what it was to cover may be lost, another one that works says nothing of it, and the
    /// root is every shard's; so every later one fails, too, until the process ends ([`RootFence`]).
    fn sync_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoFailure>>;
}

#[expect(clippy::len_without_is_empty, reason = "a file is not a collection; len may fail")]
/// An open file. Cloning gives another handle to the same open file. If a future of these is
/// dropped, the world keeps the buffer and the file until the operation is over; whether it took
/// effect is not known.
pub trait File: Clone + 'static {
    /// Positions, lengths and addresses of reads and writes must be multiples of this, in
    /// bytes: [`buf::PAGE`] for a direct file, 1 for a buffered one.
    fn alignment(&self) -> usize;

    /// Reads into the start of `into`, at most `len` bytes from `position` (both multiples of
    /// the alignment), and gives the buffer back, also on failure. Fewer bytes than `len` only
    /// at the end of the file.
    fn read_at(
        &self,
        into: Buffer,
        len: usize,
        position: u64,
        group: Group,
    ) -> impl Future<Output = (Result<usize, IoFailure>, Buffer)>;

    /// Writes all of `data` at `position`. On an error any part may have been written. Success
    /// means *written*: it survives the death of the process, not of the machine.
    fn write_at(
        &self,
        data: Sealed,
        position: u64,
        group: Group,
    ) -> impl Future<Output = Result<(), IoFailure>>;

    /// Makes every write completed before the call, and the length, durable. An error is final:
    /// what was written may be gone, and calling again proves nothing.
    fn sync(&self, group: Group) -> impl Future<Output = Result<(), IoFailure>>;

    /// Extends the file to at least `len` bytes with allocated space that reads as zeros. The
    /// world may do nothing but extend the length where allocation is not supported.
    fn allocate(&self, len: u64) -> impl Future<Output = Result<(), IoFailure>>;

    /// Cuts or extends the file to `len` bytes.
    fn set_len(&self, len: u64) -> impl Future<Output = Result<(), IoFailure>>;

    /// The length in bytes.
    fn len(&self) -> impl Future<Output = Result<u64, IoFailure>>;
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMode {
    /// Create the file if it does not exist.
    pub create: bool,
    /// Fail if it exists.
    pub exclusive: bool,
    /// Bypass the page cache where the file system can. Where it cannot the file is buffered,
    /// and its [`alignment`](File::alignment) says so.
    pub direct: bool,
}

impl OpenMode {
    /// An existing file, buffered.
    #[must_use]
    pub const fn existing() -> OpenMode {
        OpenMode { create: false, exclusive: false, direct: false }
    }

    /// A file that is created if missing, buffered.
    #[must_use]
    pub const fn create() -> OpenMode {
        OpenMode { create: true, exclusive: false, direct: false }
    }

    /// A file that must not exist yet, buffered.
    #[must_use]
    pub const fn new_file() -> OpenMode {
        OpenMode { create: true, exclusive: true, direct: false }
    }

    /// The same, bypassing the page cache.
    #[must_use]
    pub const fn direct(self) -> OpenMode {
        OpenMode { direct: true, ..self }
    }
}

/// Room on the device of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system, in bytes.
    pub total_bytes: u64,
    /// Bytes that this process may still use.
    pub usable_bytes: u64,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// A directory rather than a file.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last component of its path.
    pub name: String,
    /// A directory rather than a file.
    pub is_dir: bool,
}

/// An operation on a file or directory that failed. Cheap to clone, so that one failure can be
/// told to everybody who waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoFailure {
    /// What was tried: "open", "write", "sync".
    pub op: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What kind of failure it was.
    pub kind: io::ErrorKind,
    /// The operating system's error number, if it came from there.
    pub errno: Option<i32>,
}

impl IoFailure {
    /// Describes `error` of `op` on `path`.
    #[must_use]
    pub fn new(op: &'static str, path: &Path, error: &io::Error) -> IoFailure {
        IoFailure { op, path: path.to_path_buf(), kind: error.kind(), errno: error.raw_os_error() }
    }

    /// A failure that did not come from the operating system.
    #[must_use]
    pub fn of_kind(op: &'static str, path: &Path, kind: io::ErrorKind) -> IoFailure {
        IoFailure { op, path: path.to_path_buf(), kind, errno: None }
    }

    /// Whether the device or the quota is full: a state that passes, not damage.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self.kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

impl fmt::Display for IoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} failed: {}", self.op, self.path.display(), self.kind)?;
        match self.errno {
            Some(errno) => write!(f, " (os error {errno})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for IoFailure {}

/// Remembers that a sync of a tree's root failed. Clones remember the same: the disks of all
/// shards share one.
#[derive(Clone, Debug, Default)]
pub struct RootFence {
    failure: Arc<OnceLock<IoFailure>>,
}

impl RootFence {
    /// Fails with the failure of the first sync of the root that failed, if `path` is the root.
    pub fn check(&self, path: &Path) -> Result<(), IoFailure> {
        match self.failure.get() {
            Some(failure) if is_root(path) => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Takes note of how a sync of `path` ended; gives the same.
    pub fn note(&self, path: &Path, synced: Result<(), IoFailure>) -> Result<(), IoFailure> {
        if let Err(failure) = &synced
            && is_root(path)
        {
            // Whatever the reason was, this one does not pass.
            let kind = if failure.is_full() { io::ErrorKind::Other } else { failure.kind };
            self.failure.get_or_init(|| IoFailure { kind, ..failure.clone() });
            return self.check(path);
        }
        // One that was under way when another failed proves nothing either.
        synced.and_then(|()| self.check(path))
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_of_the_root_that_failed_is_final_and_no_other_is() {
        let (root, other) = (Path::new(""), Path::new("t-0"));
        let failed = |path, kind| Err(IoFailure::of_kind("sync_dir", path, kind));
        let fence = RootFence::default();
        fence.note(other, failed(other, io::ErrorKind::Other)).unwrap_err();
        assert_eq!((fence.check(root), fence.note(root, Ok(()))), (Ok(()), Ok(())));
        let full = fence.clone().note(root, failed(root, io::ErrorKind::StorageFull)).unwrap_err();
        assert!(!full.is_full(), "it does not pass");
        assert_eq!(fence.check(root), Err(full.clone()));
        assert_eq!(fence.note(root, Ok(())), Err(full), "one that was under way");
        assert_eq!((fence.check(other), fence.note(other, Ok(()))), (Ok(()), Ok(())));
    }
}
