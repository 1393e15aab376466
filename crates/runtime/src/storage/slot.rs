//! One operation: what it points to, who waits, and how it counts.

use std::ffi::CString;
use std::rc::Rc;
use std::task::Waker;

use buf::{Buffer, Sealed};
use io_uring::squeue;
use sched::io::Kind;

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
    Sync(Rc<OpenFile>),
    /// Names below the root.
    Names([CString; 2], Rc<Root>),
    /// A name and what the kernel says about it.
    Stat(CString, Box<libc::statx>, Rc<Root>),
}

/// How an operation is admitted and measured.
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// Issued at once; not measured.
    Plain,
    /// Issued at once; its latency steers the window.
    Foreground(Kind, u64),
    /// Waits for the window: group and bytes.
    Background(usize, u64),
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

pub(super) struct Slot {
    pub(super) state: State,
    pub(super) keep: Keep,
    pub(super) class: Class,
    pub(super) waker: Option<Waker>,
    /// Nobody waits any more: the slot frees itself.
    pub(super) is_detached: bool,
    pub(super) started_ns: u64,
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
            quiet_since: None,
        }
    }
}
