//! The machine, file system, commit and company that a number belongs to.

use std::fs;
use std::path::Path;
use std::process::Command;

/// One line: date, commit, processor, kernel, file system.
pub(crate) fn describe(root: &Path) -> String {
    let commit = first_line(root, "git", &["rev-parse", "--short", "HEAD"]);
    let dirty = !first_line(root, "git", &["status", "--porcelain", "-uno"]).is_empty();
    let date = first_line(root, "date", &["-u", "+%Y-%m-%d"]);
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let temporary = std::env::temp_dir();
    let system = first_line(root, "stat", &["-f", "-c", "%T", &temporary.to_string_lossy()]);
    // The load of the last minute holds our own runs too: what matters is whether it is far above.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{date}, commit {commit}{}, {cpus} CPUs {}, Linux {}, {system}, load average {load}",
        if dirty { " with changes" } else { "" },
        processor(),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    )
}

fn processor() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split_once(':')).map_or("", |(_, name)| name);
    name.trim().to_owned()
}

fn first_line(root: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
