//! `evenkeel log inspect DIR`: what a directory holds, as a table. Reads little: names, lengths, small files,
//! the journal, and of each segment its beginning and its end.

mod gather;
mod text;

use std::path::Path;
use std::process::ExitCode;

use journal::checkpoint::PartitionPoint;
use metadata::kafka_files::{CleanShutdown, MetaProperties};

use crate::print;

/// Shows the directory on stdout.
pub(super) fn run(dir: &Path) -> Result<ExitCode, String> {
    print(inspected(dir)?.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// What is shown of the directory.
pub(super) fn inspected(dir: &Path) -> Result<String, String> {
    let env = super::world(dir)?;
    let in_use = crate::directory_lock::is_in_use(dir);
    let report = env.block_on(gather::gather(&env)).map_err(|failure| failure.to_string())?;
    Ok(text::render(dir, in_use, &report))
}

/// Everything that is shown.
#[derive(Debug)]
struct Report {
    identity: Result<MetaProperties, String>,
    clean: Option<CleanShutdown>,
    metadata: MetadataLog,
    topics: Vec<TopicLine>,
    logs: Vec<LogView>,
    journals: Vec<JournalFile>,
    /// What is wrong with the journals, a sentence each.
    journal_troubles: Vec<String>,
    checkpoints: Result<Vec<PartitionPoint>, String>,
    aside: Vec<String>,
}

/// The metadata log in a line.
#[derive(Debug, Default)]
struct MetadataLog {
    end: Option<i64>,
    stopped: Option<String>,
}

/// A topic that the metadata knows.
#[derive(Debug)]
struct TopicLine {
    name: String,
    id: String,
    partitions: usize,
    /// Partitions of it that have a directory.
    here: usize,
}

/// One log.
#[derive(Debug)]
struct LogView {
    name: String,
    start: i64,
    /// Offset after the last whole batch in the segments.
    end: i64,
    high_watermark: Option<i64>,
    segments: Vec<SegmentLine>,
    /// Leader epochs with their start offsets, or why they cannot be read.
    epochs: Result<Vec<(i32, i64)>, String>,
    pending: Option<Pending>,
    /// Bytes at the end of the last segment that are no whole batch.
    unfinished_bytes: u64,
    /// Whether the metadata knows it.
    known: bool,
}

/// What the journals hold of a log beyond its segments.
#[derive(Debug)]
struct Pending {
    pieces: usize,
    bytes: u64,
    until: Option<i64>,
    dirty_from: Option<i64>,
}

/// One segment.
#[derive(Debug)]
struct SegmentLine {
    base: i64,
    bytes: u64,
    batches: Batches,
    index_entries: Option<u64>,
    time_entries: Option<u64>,
}

/// How many batches a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batches {
    /// All were seen.
    Exactly(u64),
    /// From the mean length of the first ones.
    About(u64),
}

/// One journal file.
#[derive(Debug)]
struct JournalFile {
    name: String,
    bytes: u64,
    frames: u64,
}
