//! Child processes: run to the end within a time, signals, CPU time and memory from /proc.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::{Failure, Outcome};

/// A process that ran to its end.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Standard output as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are not UTF-8 are replaced.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Itself when the exit code was 0.
    ///
    /// # Errors
    /// Otherwise, with the code and the last lines of both outputs.
    pub fn success(self) -> Outcome<Finished> {
        if self.code == Some(0) {
            return Ok(self);
        }
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        Err(Failure::new(format!(
            "ended with {code}: {} {}",
            tail(&self.errors(), 6),
            tail(&self.text(), 6)
        )))
    }
}

/// The last `lines` lines that are not empty, joined by " | ": for one-line reports.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join(" | ")
}

/// Runs `command` to its end with `input` on standard input, and collects its output.
///
/// # Errors
/// When it cannot be started, or is still running after `limit`: then it is killed first.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Outcome<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("cannot start {name}: {error}")))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let (ended, end) = mpsc::channel::<()>();
    let out = thread::spawn(move || drain(stdout));
    let err = thread::spawn(move || drain(stderr));
    let (status, late) = thread::scope(|scope| {
        if let Some(mut stdin) = stdin {
            // A child that stops reading early closes the pipe: its exit code says why.
            scope.spawn(move || drop(stdin.write_all(input)));
        }
        let pid = child.id();
        let killer = scope.spawn(move || {
            let late = end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                signal(pid, "KILL");
            }
            late
        });
        let status = child.wait();
        drop(ended);
        (status, killer.join().expect("the killer does not panic"))
    });
    let stdout = out.join().expect("the reader does not panic");
    let stderr = err.join().expect("the reader does not panic");
    if late {
        return Err(Failure::new(format!(
            "{name} did not end within {} s: {}",
            limit.as_secs(),
            tail(&String::from_utf8_lossy(&stderr), 4)
        )));
    }
    Ok(Finished { code: status?.code(), stdout, stderr })
}

fn drain(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    // What was read before an error is still worth reporting.
    drop(from.read_to_end(&mut all));
    all
}

/// Asks process `pid` to stop (SIGTERM). A process that is gone is no error.
pub fn signal_terminate(pid: u32) {
    signal(pid, "TERM");
}

/// Interrupts process `pid` (SIGINT). A process that is gone is no error.
pub fn signal_interrupt(pid: u32) {
    signal(pid, "INT");
}

fn signal(pid: u32, name: &str) {
    let kill = format!("kill -{name} {pid} 2>/dev/null || true");
    drop(Command::new("sh").arg("-c").arg(kill).status());
}

/// CPU time that a process has used so far, all threads, user and system.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CpuTime {
    /// Seconds in user mode.
    pub user_s: f64,
    /// Seconds in the kernel.
    pub system_s: f64,
}

impl CpuTime {
    /// User and system together, in seconds.
    pub fn total_s(self) -> f64 {
        self.user_s + self.system_s
    }
}

/// Reads /proc/PID/stat. Its resolution is 10 ms.
///
/// # Errors
/// When the process is gone or the file has another form.
pub fn cpu_time(pid: u32) -> Outcome<CpuTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_cpu_time(&stat).ok_or_else(|| Failure::new(format!("/proc/{pid}/stat reads {stat:?}")))
}

fn parse_cpu_time(stat: &str) -> Option<CpuTime> {
    // The command name stands in brackets and may hold spaces and brackets: count from the last.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    // Linux reports in USER_HZ, which is 100 on every architecture that Rust runs on.
    Some(CpuTime { user_s: ticks(11)? / 100.0, system_s: ticks(12)? / 100.0 })
}

/// CPU time of the threads that a process has now, to the nanosecond: for processes that do almost
/// nothing and start no threads. Time of threads that have ended is not in it.
///
/// # Errors
/// When the process is gone or the kernel keeps no such statistics.
pub fn thread_time(pid: u32) -> Outcome<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok());
        total += Duration::from_nanos(nanos.ok_or("schedstat has another form")?);
    }
    Ok(total)
}

/// Resident memory of a process in bytes (VmRSS).
///
/// # Errors
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> Outcome<u64> {
    status_bytes(Path::new(&format!("/proc/{pid}/status")), "VmRSS:")
}

fn status_bytes(path: &Path, field: &str) -> Outcome<u64> {
    let status = fs::read_to_string(path)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| Failure::new(format!("{} has no {field}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_and_the_code_of_a_process_are_collected() {
        let mut command = Command::new("sh");
        command.arg("-c").arg("cat; echo problem >&2; exit 3");
        let finished = run(&mut command, b"hello", Duration::from_secs(10)).expect("sh exists");
        assert_eq!(finished.code, Some(3));
        assert_eq!(finished.stdout, b"hello");
        assert_eq!(finished.errors(), "problem\n");
        assert!(finished.success().expect_err("code 3").to_string().contains("problem"));
    }

    #[test]
    fn a_process_that_does_not_end_is_killed() {
        let mut command = Command::new("sleep");
        command.arg("30");
        let failure = run(&mut command, b"", Duration::from_millis(50)).expect_err("it sleeps");
        assert!(failure.to_string().contains("did not end"), "{failure}");
    }

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let mut fields: Vec<String> = (0..40).map(|field| field.to_string()).collect();
        fields[0] = "S".to_owned();
        let stat = format!("77 (a) b) {}", fields.join(" "));
        let time = parse_cpu_time(&stat).expect("the form is right");
        assert_eq!(time, CpuTime { user_s: 0.11, system_s: 0.12 });
    }

    #[test]
    fn this_process_has_memory_and_cpu_time() {
        assert!(resident_bytes(std::process::id()).expect("we live") > 100_000);
        assert!(cpu_time(std::process::id()).expect("we live").total_s() >= 0.0);
    }
}
