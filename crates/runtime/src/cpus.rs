//! Processors: which ones this process may use, and pinning.

use std::io;

/// The processors that the calling thread may run on.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    let mut set = empty();
    // SAFETY: the kernel writes at most the size it is told, which is that of `set`.
    #[expect(unsafe_code, reason = "affinity has no safe interface")]
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let is_set = |cpu: &usize| {
        // SAFETY: `cpu` is below the number of bits of the set.
        #[expect(unsafe_code, reason = "affinity has no safe interface")]
        unsafe {
            libc::CPU_ISSET(*cpu, &set)
        }
    };
    Ok((0..size_of_val(&set) * 8).filter(is_set).collect())
}

/// Keeps the calling thread on `cpu`.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let set = set_of(&[cpu]);
    // SAFETY: the kernel reads at most the size it is told, which is that of `set`.
    #[expect(unsafe_code, reason = "affinity has no safe interface")]
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The set of `cpus`; numbers that the set has no room for are left out.
pub(crate) fn set_of(cpus: &[usize]) -> libc::cpu_set_t {
    let mut set = empty();
    for cpu in cpus.iter().filter(|cpu| **cpu < size_of::<libc::cpu_set_t>() * 8) {
        // SAFETY: `cpu` is below the number of bits of the set.
        #[expect(unsafe_code, reason = "affinity has no safe interface")]
        unsafe {
            libc::CPU_SET(*cpu, &mut set);
        }
    }
    set
}

fn empty() -> libc::cpu_set_t {
    // SAFETY: the set is plain integers, for which all zeros is the empty set.
    #[expect(unsafe_code, reason = "the set has no constructor")]
    unsafe {
        std::mem::zeroed()
    }
}
