//! The data directory.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File as StdFile;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use env::{Disk, Entry, IoFailure, OpenMode, RootFence, Space, Stat};
use io_uring::{opcode, squeue, types};

use super::file::size;
use super::slot::{Class, Keep};
use super::{RingFile, StorageRing};

/// A directory tree on the storage ring of one shard. Clones are the same tree.
#[derive(Clone)]
pub struct RingDisk {
    ring: Rc<StorageRing>,
    root: Rc<Root>,
}

pub(super) struct Root {
    dir: StdFile,
    path: PathBuf,
    /// It was said that this file system refuses direct I/O.
    said_buffered: Cell<bool>,
    fence: RootFence,
}

impl RingDisk {
    /// The tree below the directory `path`, which must exist.
    /// `fence` is that of every shard's tree.
    pub(crate) fn open_root(
        ring: &Rc<StorageRing>,
        path: &Path,
        fence: RootFence,
    ) -> io::Result<RingDisk> {
        let dir = StdFile::open(path)?;
        if !dir.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let root = Root { dir, path: path.to_path_buf(), said_buffered: Cell::new(false), fence };
        Ok(RingDisk { ring: Rc::clone(ring), root: Rc::new(root) })
    }

    fn dir(&self) -> types::Fd {
        types::Fd(self.root.dir.as_raw_fd())
    }

    async fn run(&self, entry: squeue::Entry, names: [CString; 2]) -> io::Result<usize> {
        let keep = Keep::Names(names, Rc::clone(&self.root));
        size(self.ring.start(entry, keep, Class::Plain).await.0)
    }

    /// Opens `path` below the root. A future that is dropped meanwhile leaks the descriptor
    /// until the process ends.
    async fn open_with(&self, path: &Path, flags: i32) -> io::Result<OwnedFd> {
        let name = name(path)?;
        let entry = opcode::OpenAt::new(self.dir(), name.as_ptr())
            .flags(flags | libc::O_CLOEXEC)
            .mode(0o644)
            .build();
        let fd = self.run(entry, [name, CString::default()]).await?;
        let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else has it.
        #[expect(unsafe_code, reason = "takes ownership of a fresh descriptor")]
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn say_buffered(&self) {
        if !self.root.said_buffered.replace(true) {
            let path = self.root.path.display();
            tracing::info!(%path, "the file system refuses direct I/O; files are buffered");
        }
    }
}

impl std::fmt::Debug for RingDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RingDisk({})", self.root.path.display())
    }
}

/// A path for the kernel; the root is ".".
fn name(path: &Path) -> io::Result<CString> {
    let bytes = path.as_os_str().as_bytes();
    if path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "paths are relative to the root"));
    }
    CString::new(if bytes.is_empty() { b".".as_slice() } else { bytes }).map_err(io::Error::other)
}

impl Disk for RingDisk {
    type File = RingFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<RingFile, IoFailure> {
        let failed = |error: io::Error| IoFailure::new("open", path, &error);
        let mut flags = libc::O_RDWR;
        if mode.create {
            flags |= libc::O_CREAT;
        }
        if mode.exclusive {
            flags |= libc::O_EXCL;
        }
        if mode.direct {
            match self.open_with(path, flags | libc::O_DIRECT).await {
                Ok(file) => return Ok(RingFile::new(&self.ring, file, path, true)),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.say_buffered();
                    // The refused call may have created the file.
                    flags &= !libc::O_EXCL;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        let file = self.open_with(path, flags).await.map_err(failed)?;
        Ok(RingFile::new(&self.ring, file, path, false))
    }

    async fn create_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let failed = |error: io::Error| IoFailure::new("create_dir", path, &error);
        let name = name(path).map_err(failed)?;
        let entry = opcode::MkDirAt::new(self.dir(), name.as_ptr()).mode(0o755).build();
        match self.run(entry, [name, CString::default()]).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match self.stat(path).await? {
                    Some(stat) if stat.is_dir => Ok(()),
                    _ => Err(failed(error)),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        let failed = |error: io::Error| IoFailure::new("rename", from, &error);
        let names = [name(from).map_err(failed)?, name(to).map_err(failed)?];
        let [old, new] = [names[0].as_ptr(), names[1].as_ptr()];
        let entry = opcode::RenameAt::new(self.dir(), old, self.dir(), new).build();
        self.run(entry, names).await.map(|_| ()).map_err(failed)
    }

    async fn remove_file(&self, path: &Path) -> Result<(), IoFailure> {
        let failed = |error: io::Error| IoFailure::new("remove_file", path, &error);
        let name = name(path).map_err(failed)?;
        let entry = opcode::UnlinkAt::new(self.dir(), name.as_ptr()).build();
        self.run(entry, [name, CString::default()]).await.map(|_| ()).map_err(failed)
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let failed = |error: io::Error| IoFailure::new("remove_dir", path, &error);
        let name = name(path).map_err(failed)?;
        let entry =
            opcode::UnlinkAt::new(self.dir(), name.as_ptr()).flags(libc::AT_REMOVEDIR).build();
        self.run(entry, [name, CString::default()]).await.map(|_| ()).map_err(failed)
    }

    /// Reads the directory on the shard's own thread: there is no ring operation for it.
    async fn list(&self, path: &Path) -> Result<Vec<Entry>, IoFailure> {
        let read = || {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(self.root.path.join(path))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                entries.push(Entry { name, is_dir: entry.file_type()?.is_dir() });
            }
            entries.sort();
            Ok(entries)
        };
        read().map_err(|error: io::Error| IoFailure::new("list", path, &error))
    }

    async fn stat(&self, path: &Path) -> Result<Option<Stat>, IoFailure> {
        let failed = |error: io::Error| IoFailure::new("stat", path, &error);
        let name = name(path).map_err(failed)?;
        // SAFETY: `statx` is plain integers, for which all zeros is a value.
        #[expect(unsafe_code, reason = "the kernel's structure has no constructor")]
        let mut stat: Box<libc::statx> = Box::new(unsafe { std::mem::zeroed() });
        let entry = opcode::Statx::new(self.dir(), name.as_ptr(), (&raw mut *stat).cast())
            .mask(libc::STATX_TYPE | libc::STATX_SIZE)
            .build();
        let keep = Keep::Stat(name, stat, Rc::clone(&self.root));
        let (result, keep) = self.ring.start(entry, keep, Class::Plain).await;
        match size(result) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        let Keep::Stat(_, stat, _) = keep else { unreachable!("a slot gives back what it got") };
        let is_dir = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        Ok(Some(Stat { is_dir, len: if is_dir { 0 } else { stat.stx_size } }))
    }

    async fn space(&self) -> Result<Option<Space>, IoFailure> {
        // SAFETY: `statvfs` is plain integers, for which all zeros is a value.
        #[expect(unsafe_code, reason = "the kernel's structure has no constructor")]
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open as long as `self`, and the kernel writes one `statvfs`.
        #[expect(unsafe_code, reason = "statvfs has no safe interface")]
        let result = unsafe { libc::fstatvfs(self.root.dir.as_raw_fd(), &raw mut stat) };
        if result != 0 {
            let error = io::Error::last_os_error();
            return Err(IoFailure::new("space", Path::new(""), &error));
        }
        let unit = stat.f_frsize;
        Ok(Some(Space {
            total_bytes: stat.f_blocks.saturating_mul(unit),
            usable_bytes: stat.f_bavail.saturating_mul(unit),
        }))
    }

    async fn sync_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let failed = |error: io::Error| IoFailure::new("sync_dir", path, &error);
        self.root.fence.check(path)?;
        let dir = self.open_with(path, libc::O_RDONLY | libc::O_DIRECTORY).await.map_err(failed)?;
        let dir = RingFile::new(&self.ring, dir, path, false);
        self.root.fence.note(path, dir.sync_all().await.map_err(failed))
    }
}
