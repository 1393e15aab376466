//! One operation: what it points to, who waits, and how it counts.

use std::ffi::CString;
use std::rc::Rc;
use std::task::Waker;

use buf::{Buffer, Sealed};
use env::Group;
use io_uring::squeue;
use sched::device::Kind;

use super::disk::Root;
use super::file::OpenFile;

/// What the kernel may read or write while an operation is in flight.
#[expect(dead_code, reason = "some of it is kept alive and never read")]
pub(super) enum Keep {
    Nothing,
    /// A read into the buffer.
    Read(Buffer, Rc<OpenFile>),
    /// A write out of the view.
    Write(Sealed, Rc<OpenFile>),
    /// Some other operation on an open file.
    File(Rc<OpenFile>),
    /// A flush; its end is told to the file, not to a waiting future.
    Sync(Rc<OpenFile>, Groups),
    /// Names below the root.
    Names([CString; 2], Rc<Root>),
    /// A name and what the kernel says about it.
    Stat(CString, Box<libc::statx>, Rc<Root>),
}

/// A set of groups: bit `g` for the group of number `g`.
#[derive(Clone, Copy)]
pub(super) struct Groups(pub(super) u64);

/// What a read or write is charged for.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) group: Group,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
}

/// How an operation is admitted and measured.
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// Issued at once; not measured.
    Plain,
    /// Issued at once; its latency steers the window.
    Foreground(Work),
    /// Waits for the window.
    Background(Work),
    /// A flush that somebody waits for.
    ForegroundSync,
    /// A background flush.
    BackgroundSync,
}

pub(super) enum State {
    Free,
    /// Not given to the kernel yet.
    Waiting(squeue::Entry),
    InFlight,
    /// The kernel's result.
    Done(i32),
}

impl Class {
    /// Whether somebody waits for it.
    pub(super) fn is_foreground(self) -> bool {
        matches!(self, Class::Foreground(_) | Class::ForegroundSync)
    }
}

pub(super) struct Slot {
    pub(super) state: State,
    pub(super) keep: Keep,
    pub(super) class: Class,
    pub(super) waker: Option<Waker>,
    /// Nobody waits any more: the slot frees itself.
    pub(super) is_detached: bool,
    /// When it was asked for.
    pub(super) started_ns: u64,
    /// When it was given to the kernel.
    pub(super) issued_ns: u64,
    /// No background operation was in flight when this one started, as of this many issued.
    pub(super) quiet_since: Option<u64>,
}

impl Slot {
    pub(super) fn free() -> Slot {
        Slot {
            state: State::Free,
            keep: Keep::Nothing,
            class: Class::Plain,
            waker: None,
            is_detached: false,
            started_ns: 0,
            issued_ns: 0,
            quiet_since: None,
        }
    }

    /// Nobody waits, and it would be of no use: a close or a flush always is.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_detached && !matches!(self.keep, Keep::Nothing | Keep::Sync(..))
    }
}
