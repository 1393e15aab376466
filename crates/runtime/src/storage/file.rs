//! One open file.

use std::cell::{Cell, RefCell};
use std::fs::File as StdFile;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use buf::{Buffer, PAGE, Sealed};
use env::sync::Signal;
use env::{File, Group, IoFailure};
use io_uring::{opcode, squeue, types};
use sched::device::Kind;
use sched::sync_merge::{Enqueue, SyncMerge};

use super::StorageRing;
use super::slot::{Class, Groups, Keep, Work};

/// A file of a [`super::RingDisk`]. Clones are the same open file; it is closed when the last
/// clone is dropped and its last operation is over.
#[derive(Clone)]
pub struct RingFile {
    file: Rc<OpenFile>,
}

pub(super) struct OpenFile {
    ring: Rc<StorageRing>,
    /// Gone only in `drop`.
    file: Option<StdFile>,
    path: PathBuf,
    is_direct: bool,
    sync: RefCell<SyncMerge<IoFailure>>,
    synced: Signal,
    /// Where the kernel has no ftruncate on rings.
    truncates_inline: Cell<bool>,
}

impl OpenFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self) -> &StdFile {
        self.file.as_ref().expect("gone only in drop")
    }

    fn fd(&self) -> types::Fd {
        types::Fd(self.file().as_raw_fd())
    }

    /// Gives the groups that the flush is for.
    pub(super) fn issue_sync(&self) -> Groups {
        Groups(self.sync.borrow_mut().issue())
    }

    /// A flush ended: tells its waiters, says what is to be queued.
    pub(super) fn synced(&self, result: Result<(), IoFailure>) -> Enqueue {
        let next = self.sync.borrow_mut().complete(result);
        self.synced.notify();
        next
    }

    fn failed(&self, op: &'static str, error: &io::Error) -> IoFailure {
        IoFailure::new(op, &self.path, error)
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file().as_fd()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.ring.close(OwnedFd::from(file));
        }
    }
}

impl RingFile {
    pub(super) fn new(
        ring: &Rc<StorageRing>,
        file: OwnedFd,
        path: &Path,
        is_direct: bool,
    ) -> RingFile {
        let file = OpenFile {
            ring: Rc::clone(ring),
            file: Some(StdFile::from(file)),
            path: path.to_path_buf(),
            is_direct,
            sync: RefCell::new(SyncMerge::new()),
            synced: Signal::new(),
            truncates_inline: Cell::new(false),
        };
        RingFile { file: Rc::new(file) }
    }

    async fn run(
        &self,
        entry: squeue::Entry,
        keep: Keep,
        class: Class,
    ) -> (io::Result<usize>, Keep) {
        let (result, keep) = self.file.ring.start(entry, keep, class).await;
        (size(result), keep)
    }

    /// Bytes that one operation may carry for `group`.
    fn piece_bytes(&self, group: Group) -> usize {
        if group.is_foreground() { 1 << 30 } else { self.file.ring.piece_bytes() }
    }

    fn class(group: Group, kind: Kind, bytes: usize) -> Class {
        let work = Work { group, kind, bytes: bytes as u64 };
        if group.is_foreground() { Class::Foreground(work) } else { Class::Background(work) }
    }

    /// Makes a directory's names durable.
    pub(super) async fn sync_all(&self) -> io::Result<()> {
        let entry = opcode::Fsync::new(self.file.fd()).build();
        let keep = Keep::File(Rc::clone(&self.file));
        self.run(entry, keep, Class::Plain).await.0.map(|_| ())
    }

    /// A direct file whose data is not aligned would fail in the kernel with a less clear error,
    /// and work by chance where the file is buffered.
    fn check(&self, op: &'static str, len: usize, position: u64) -> Result<(), IoFailure> {
        let unit = self.alignment();
        if len.is_multiple_of(unit) && position.is_multiple_of(unit as u64) {
            return Ok(());
        }
        Err(IoFailure::of_kind(op, &self.file.path, io::ErrorKind::InvalidInput))
    }

    async fn read_piece(
        &self,
        mut buffer: Buffer,
        at: usize,
        len: usize,
        position: u64,
        group: Group,
    ) -> (io::Result<usize>, Buffer) {
        let part = &mut buffer.as_mut_slice()[at..at + len];
        let len = u32::try_from(len).expect("a piece is below 2^32");
        let entry =
            opcode::Read::new(self.file.fd(), part.as_mut_ptr(), len).offset(position).build();
        let class = Self::class(group, Kind::Read, len as usize);
        let keep = Keep::Read(buffer, Rc::clone(&self.file));
        match self.run(entry, keep, class).await {
            (result, Keep::Read(buffer, _)) => (result, buffer),
            _ => unreachable!("a slot gives back what it was given"),
        }
    }

    async fn write_piece(&self, data: Sealed, position: u64, group: Group) -> io::Result<usize> {
        let len = u32::try_from(data.len()).expect("a piece is below 2^32");
        let entry = opcode::Write::new(self.file.fd(), data.as_ptr(), len).offset(position).build();
        let class = Self::class(group, Kind::Write, data.len());
        let keep = Keep::Write(data, Rc::clone(&self.file));
        self.run(entry, keep, class).await.0
    }
}

impl std::fmt::Debug for RingFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RingFile({})", self.file.path.display())
    }
}

/// The result of an operation as bytes or error.
pub(super) fn size(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.saturating_neg()))
}

impl File for RingFile {
    fn alignment(&self) -> usize {
        if self.file.is_direct { PAGE } else { 1 }
    }

    async fn read_at(
        &self,
        into: Buffer,
        len: usize,
        position: u64,
        group: Group,
    ) -> (Result<usize, IoFailure>, Buffer) {
        let mut buffer = into;
        if let Err(failure) = self.check("read", len, position) {
            return (Err(failure), buffer);
        }
        if buffer.capacity() < len {
            let kind = io::ErrorKind::InvalidInput;
            return (Err(IoFailure::of_kind("read", &self.file.path, kind)), buffer);
        }
        let mut done = 0;
        while done < len {
            let want = (len - done).min(self.piece_bytes(group));
            let (result, back) =
                self.read_piece(buffer, done, want, position + done as u64, group).await;
            buffer = back;
            match result {
                Ok(read) => {
                    done += read;
                    // Nothing, or on a direct file less than a unit: the end of the file.
                    if read == 0 || !done.is_multiple_of(self.alignment()) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(self.file.failed("read", &error)), buffer),
            }
        }
        (Ok(done), buffer)
    }

    async fn write_at(&self, data: Sealed, position: u64, group: Group) -> Result<(), IoFailure> {
        self.check("write", data.len(), position)?;
        self.check("write", data.as_ptr().addr(), 0)?;
        let mut done = 0;
        while done < data.len() {
            let end = data.len().min(done + self.piece_bytes(group));
            let at = position + done as u64;
            match self.write_piece(data.slice(done..end), at, group).await {
                Ok(0) => {
                    let kind = io::ErrorKind::WriteZero;
                    return Err(IoFailure::of_kind("write", &self.file.path, kind));
                }
                // The rest of a direct write must begin at a unit again.
                Ok(written) => {
                    let unit = self.alignment();
                    let whole = (done + written) / unit * unit;
                    if whole == done {
                        let kind = io::ErrorKind::WriteZero;
                        return Err(IoFailure::of_kind("write", &self.file.path, kind));
                    }
                    done = whole;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.file.failed("write", &error)),
            }
        }
        Ok(())
    }

    async fn sync(&self, group: Group) -> Result<(), IoFailure> {
        let file = &self.file;
        file.ring.count_sync();
        let (ticket, enqueue) =
            file.sync.borrow_mut().request(group.is_foreground(), group as usize);
        file.ring.enqueue_sync(file, enqueue);
        loop {
            let seen = file.synced.seen();
            let outcome = file.sync.borrow().outcome(ticket);
            if let Some(outcome) = outcome {
                return outcome;
            }
            file.synced.after(seen).await;
        }
    }

    async fn allocate(&self, len: u64) -> Result<(), IoFailure> {
        if len == 0 {
            return Ok(());
        }
        let entry = opcode::Fallocate::new(self.file.fd(), len).build();
        let keep = Keep::File(Rc::clone(&self.file));
        match self.run(entry, keep, Class::Plain).await.0 {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                if self.len().await? < len { self.set_len(len).await } else { Ok(()) }
            }
            Err(error) => Err(self.file.failed("allocate", &error)),
        }
    }

    async fn set_len(&self, len: u64) -> Result<(), IoFailure> {
        let failed = |error: &io::Error| self.file.failed("set_len", error);
        if !self.file.truncates_inline.get() {
            let entry = opcode::Ftruncate::new(self.file.fd(), len).build();
            let keep = Keep::File(Rc::clone(&self.file));
            match self.run(entry, keep, Class::Plain).await.0 {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.file.truncates_inline.set(true);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        self.file.file().set_len(len).map_err(|error| failed(&error))
    }

    async fn len(&self) -> Result<u64, IoFailure> {
        let metadata = self.file.file().metadata();
        metadata.map(|metadata| metadata.len()).map_err(|error| self.file.failed("stat", &error))
    }
}
