//! Time in which the operating system ran somebody else on this thread's processor.
//!
//! A group is not to blame for it, and a task that was set aside did not hold its core. The
//! kernel counts it for each thread; reading it costs a system call, so it is read when a poll
//! took suspiciously long, and now and then so that older delays are not taken for newer ones.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;

const REFRESH_EVERY_NS: u64 = 10_000_000;

/// The delays of the thread that made it.
pub(crate) struct Delay {
    /// `None` where the kernel does not count.
    file: Option<File>,
    seen_ns: Cell<u64>,
    refreshed_ns: Cell<u64>,
}

impl Delay {
    pub(crate) fn of_this_thread() -> Delay {
        let file = File::open("/proc/thread-self/schedstat").ok();
        let delay = Delay { file, seen_ns: Cell::new(0), refreshed_ns: Cell::new(0) };
        delay.take_ns();
        delay
    }

    /// Forgets older delays, unless that was done lately.
    pub(crate) fn refresh(&self, now_ns: u64) {
        if REFRESH_EVERY_NS <= now_ns.saturating_sub(self.refreshed_ns.get()) {
            self.refreshed_ns.set(now_ns);
            self.take_ns();
        }
    }

    /// Nanoseconds of delay since the last call or refresh.
    pub(crate) fn take_ns(&self) -> u64 {
        let Some(total_ns) = self.total_ns() else { return 0 };
        total_ns.saturating_sub(self.seen_ns.replace(total_ns))
    }

    /// The second of the three numbers in the file.
    fn total_ns(&self) -> Option<u64> {
        let mut text = [0; 96];
        let len = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..len]).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_set_aside_sees_it() {
        let delay = Delay::of_this_thread();
        if delay.file.is_none() {
            return;
        }
        // More threads than processors: some delay must show up.
        let busy = || {
            let start = std::time::Instant::now();
            while start.elapsed().as_millis() < 60 {
                std::hint::spin_loop();
            }
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..3 * cpus).map(|_| std::thread::spawn(busy)).collect();
        busy();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(0 < delay.take_ns());
    }
}
