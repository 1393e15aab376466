//! What the kernel says of this process, under the names that Prometheus clients use.

use std::fs;

/// Ticks of a second in `/proc/self/stat`: the same on every Linux that io_uring runs on.
const TICKS_PER_S: f64 = 100.0;

/// This process now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProcessReading {
    /// CPU time of all threads, in seconds.
    pub(crate) cpu_s: f64,
    /// Resident memory, in bytes.
    pub(crate) resident_bytes: u64,
    /// Descriptors that are open.
    pub(crate) open_fds: u64,
}

/// Asks the kernel; `None` where `/proc` is missing.
pub(crate) fn read() -> Option<ProcessReading> {
    let mut reading = parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    reading.resident_bytes = kib * 1024;
    reading.open_fds = u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?;
    Some(reading)
}

/// CPU time is in the 14th and 15th field; the second may hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<ProcessReading> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let cpu_s = (f64::from(ticks()?) + f64::from(ticks()?)) / TICKS_PER_S;
    Some(ProcessReading { cpu_s, ..ProcessReading::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_an_odd_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 900 1 2";
        assert_eq!(parse_stat(stat).map(|reading| reading.cpu_s), Some(2.0));
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let reading = read().expect("Linux");
        assert!(0 < reading.resident_bytes && 0 < reading.open_fds);
    }
}
