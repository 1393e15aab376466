//! `evenkeel log ...`: tools on a data directory that no broker runs on.
//!
//! `inspect` and `verify` only read; `close` runs the broker library to a clean stop; `compact` runs a pass over logs. Each gathers with one set
//! of functions and writes text with another, so that what is printed is tested without a terminal.

mod close;
mod compact;
mod directory;
mod fold;
mod inspect;
mod progress;
mod reader;
mod verify;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use env::std_world::StdEnv;
use metadata::kafka_files::META_PROPERTIES;

use crate::cli::Log;

/// Memory for reading, in bytes: a journal frame, some pieces of files.
const MEMORY_BYTES: usize = 64 << 20;

/// Runs the command. `Err` says why it could not; a tool that ran and found damage gives exit code 1.
pub(crate) fn run(command: &Log) -> Result<ExitCode, String> {
    match command {
        Log::Inspect(at) => inspect::run(&at.dir),
        Log::Verify(at) => verify::run(&at.dir),
        Log::Close(at) => close::run(&at.dir),
        Log::Compact(at) => compact::run(&at.dir, at.topic.as_deref()),
    }
}

/// The world of a tool on `dir`, which must be a data directory.
fn world(dir: &Path) -> Result<StdEnv, String> {
    if !dir.is_dir() {
        return Err(format!("{} is not a directory", dir.display()));
    }
    if !dir.join(META_PROPERTIES).is_file() {
        let dir = dir.display();
        return Err(format!("{dir} is not a data directory: it has no {META_PROPERTIES}"));
    }
    Ok(StdEnv::new(dir, MEMORY_BYTES))
}
