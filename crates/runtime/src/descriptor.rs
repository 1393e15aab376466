//! The few kernel objects that the standard library does not make: eventfd, timerfd, and what
//! `/proc` says about rings.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// An eventfd. With `preloaded` it is a semaphore that never runs out: every read is ready.
pub(crate) fn event(preloaded: bool) -> io::Result<File> {
    let flags = if preloaded { libc::EFD_CLOEXEC | libc::EFD_SEMAPHORE } else { libc::EFD_CLOEXEC };
    // SAFETY: takes two integers and touches no memory of ours.
    #[expect(unsafe_code, reason = "eventfd has no safe interface")]
    let fd = unsafe { libc::eventfd(0, flags) };
    let file = owned(fd)?;
    if preloaded {
        (&file).write_all(&(1u64 << 62).to_ne_bytes())?;
    }
    Ok(file)
}

/// A timer on the monotonic clock, not armed.
pub(crate) fn timer() -> io::Result<File> {
    // SAFETY: takes two integers and touches no memory of ours.
    #[expect(unsafe_code, reason = "timerfd_create has no safe interface")]
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
    owned(fd)
}

/// Arms `timer` to fire once, `after` from now but at least a nanosecond.
pub(crate) fn arm(timer: &File, after: Duration) -> io::Result<()> {
    let after = after.max(Duration::from_nanos(1));
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let value = libc::timespec {
        tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(after.subsec_nanos()),
    };
    let spec = libc::itimerspec { it_interval: zero, it_value: value };
    // SAFETY: `spec` lives through the call, and a null old value is allowed.
    #[expect(unsafe_code, reason = "timerfd_settime has no safe interface")]
    let result = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The io_uring descriptors of this process.
pub(crate) fn rings() -> io::Result<Vec<RawFd>> {
    let mut rings = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_ring = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().contains("io_uring"));
        if is_ring && let Some(fd) = entry.file_name().to_str().and_then(|fd| fd.parse().ok()) {
            rings.push(fd);
        }
    }
    Ok(rings)
}

fn owned(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    #[expect(unsafe_code, reason = "takes ownership of a fresh descriptor")]
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
