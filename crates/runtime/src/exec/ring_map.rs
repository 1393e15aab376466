//! A second, read-only view of a ring's head and tail words, so that a running task can see
//! without a system call that completions wait. Owns the mapping; never writes to it.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// `IORING_SQ_TASKRUN`: completions wait for the next system call.
const SQ_TASKRUN: u32 = 1 << 2;
const MAP_BYTES: usize = 4096;

/// The mapped words of one ring.
///
/// The flag by which the kernel asks for a system call is a hint: the kernel sets it after it
/// queued the work, so it may be set when that work is done already, and then stays. After a trip
/// to the driver a flag that is still set counts for nothing until the next trip.
pub(crate) struct RingMap {
    start: NonNull<u8>,
    places: Places,
    is_flag_stale: Cell<bool>,
}

/// Byte places of the words in the mapping; the same for every ring of a kernel.
#[derive(Clone, Copy)]
struct Places {
    sq_head: usize,
    sq_tail: usize,
    sq_flags: usize,
    cq_head: usize,
    cq_tail: usize,
}

impl RingMap {
    /// Makes a small ring and lets it go: an error says that this process gets none.
    pub(crate) fn probe() -> io::Result<()> {
        let places = Places::of_this_kernel()?;
        let _ = PLACES.set(places);
        Ok(())
    }

    /// Maps `ring`. Fails where the kernel refuses; then nothing can be seen ahead.
    pub(crate) fn of(ring: BorrowedFd<'_>) -> io::Result<RingMap> {
        let places = Places::get()?;
        // SAFETY: a fresh shared read-only mapping of a descriptor that the caller keeps open
        // for the call; the kernel chooses the address, so it overlaps nothing.
        #[expect(unsafe_code, reason = "mmap of the ring has no safe interface")]
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MAP_BYTES,
                libc::PROT_READ,
                libc::MAP_SHARED,
                ring.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(RingMap { start, places, is_flag_stale: Cell::new(false) })
    }

    /// Whether completions wait, or the kernel wants a system call to post some.
    #[inline]
    pub(crate) fn has_completions(&self) -> bool {
        self.word(self.places.cq_head) != self.word(self.places.cq_tail)
            || (self.is_flagged() && !self.is_flag_stale.get())
    }

    /// A trip to the driver was made.
    pub(crate) fn note_trip(&self) {
        self.is_flag_stale.set(self.is_flagged());
    }

    #[inline]
    fn is_flagged(&self) -> bool {
        self.word(self.places.sq_flags) & SQ_TASKRUN != 0
    }

    /// Whether submissions wait for a system call.
    #[inline]
    pub(crate) fn has_submissions(&self) -> bool {
        self.word(self.places.sq_head) != self.word(self.places.sq_tail)
    }

    /// Operations that were submitted and have not posted a completion. Right only for a ring on
    /// which every submission posts exactly one completion.
    pub(crate) fn in_flight(&self) -> u32 {
        self.word(self.places.sq_tail).wrapping_sub(self.word(self.places.cq_tail))
    }

    #[inline]
    fn word(&self, place: usize) -> u32 {
        // SAFETY: `place` is below `MAP_BYTES` and a multiple of 4 (checked when the places were
        // read), the mapping lives as long as `self`, and the kernel's words are only ever
        // changed atomically.
        #[expect(unsafe_code, reason = "the kernel's words are behind a raw mapping")]
        unsafe { &*self.start.as_ptr().add(place).cast::<AtomicU32>() }.load(Ordering::Relaxed)
    }
}

impl Drop for RingMap {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this length, unmapped only here, and no reference into it
        // outlives a call of `word`.
        #[expect(unsafe_code, reason = "unmaps what `of` mapped")]
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), MAP_BYTES);
        }
    }
}

/// Read once: a throw-away ring counts against the limit of locked memory for a while after it
/// is closed.
static PLACES: OnceLock<Places> = OnceLock::new();

impl Places {
    fn get() -> io::Result<Places> {
        match PLACES.get() {
            Some(places) => Ok(*places),
            None => Places::of_this_kernel(),
        }
    }

    /// Reads the places off a throw-away ring.
    fn of_this_kernel() -> io::Result<Places> {
        // `struct io_uring_params`: ten words, then ten of the submission ring, then ten of the
        // completion ring.
        let mut params = [0u32; 30];
        // SAFETY: the kernel reads and writes exactly the 120 bytes of `params`.
        #[expect(unsafe_code, reason = "io_uring_setup has no safe interface")]
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
        if ring < 0 {
            return Err(io::Error::last_os_error());
        }
        let ring = RawFd::try_from(ring).map_err(io::Error::other)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else has it.
        #[expect(unsafe_code, reason = "takes ownership so that it is closed")]
        drop(unsafe { OwnedFd::from_raw_fd(ring) });
        let place = |word: usize| {
            let place = usize::try_from(params[word]).map_err(io::Error::other)?;
            if place.is_multiple_of(4) && place + 4 <= MAP_BYTES {
                Ok(place)
            } else {
                Err(io::Error::other("a ring word lies outside the first page"))
            }
        };
        Ok(Places {
            sq_head: place(10)?,
            sq_tail: place(11)?,
            sq_flags: place(14)?,
            cq_head: place(20)?,
            cq_tail: place(21)?,
        })
    }
}
