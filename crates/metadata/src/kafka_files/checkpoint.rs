//! Checkpoint files: a version, a number of entries, an entry a line.
//!
//! ```text
//! 0                  version
//! 2                  number of entries
//! flights 0 1200     topic partition offset      (or: epoch startOffset)
//! flights 1 1187
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use record::{LeaderEpoch, Offset};

use super::{FileError, text};

/// An offset for each partition, by topic name and index.
pub type OffsetCheckpoint = BTreeMap<(String, i32), Offset>;

/// Where an epoch of a log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of its first record.
    pub start: Offset,
}

/// The bytes of an offset checkpoint.
pub fn encode_offsets(offsets: &OffsetCheckpoint) -> Vec<u8> {
    let mut out = head(offsets.len());
    for ((topic, partition), offset) in offsets {
        writeln!(out, "{topic} {partition} {}", offset.raw()).expect("a string takes everything");
    }
    out.into_bytes()
}

/// Reads an offset checkpoint. An empty file, which Kafka creates before it first writes, holds
/// nothing. Of a partition that is named twice the last offset counts, as with Kafka.
///
/// # Errors
///
/// See [`FileError`].
pub fn decode_offsets(bytes: &[u8]) -> Result<OffsetCheckpoint, FileError> {
    let mut offsets = OffsetCheckpoint::new();
    if bytes.is_empty() {
        return Ok(offsets);
    }
    decode(bytes, |fields| {
        let [topic, partition, offset] = fields else { return Err("not three fields") };
        let partition: i32 = partition.parse().map_err(|_| "the partition is no number")?;
        let offset = offset.parse().ok().and_then(Offset::new).ok_or("the offset is none")?;
        if partition < 0 {
            return Err("the partition is negative");
        }
        offsets.insert(((*topic).to_owned(), partition), offset);
        Ok(())
    })?;
    Ok(offsets)
}

/// The bytes of a log's leader epochs.
pub fn encode_leader_epochs(epochs: &[EpochStart]) -> Vec<u8> {
    let mut out = head(epochs.len());
    for entry in epochs {
        writeln!(out, "{} {}", entry.epoch.raw(), entry.start.raw())
            .expect("a string takes everything");
    }
    out.into_bytes()
}

/// Reads a log's leader epochs. Both numbers must grow from line to line.
///
/// # Errors
///
/// See [`FileError`].
pub fn decode_leader_epochs(bytes: &[u8]) -> Result<Vec<EpochStart>, FileError> {
    let mut epochs: Vec<EpochStart> = Vec::new();
    if bytes.is_empty() {
        return Ok(epochs);
    }
    decode(bytes, |fields| {
        let [epoch, start] = fields else { return Err("not two fields") };
        let epoch = epoch.parse().ok().and_then(LeaderEpoch::new).ok_or("the epoch is none")?;
        let start = start.parse().ok().and_then(Offset::new).ok_or("the offset is none")?;
        let grows = |last: &EpochStart| last.epoch < epoch && last.start <= start;
        if !epochs.last().is_none_or(grows) {
            return Err("the epoch or its offset goes back");
        }
        epochs.push(EpochStart { epoch, start });
        Ok(())
    })?;
    Ok(epochs)
}

fn head(entries: usize) -> String {
    format!("0\n{entries}\n")
}

/// Reads head and entries, handing the fields of each entry to `entry`.
fn decode(
    bytes: &[u8],
    mut entry: impl FnMut(&[&str]) -> Result<(), &'static str>,
) -> Result<(), FileError> {
    let mut lines = (1..).zip(text(bytes)?.lines());
    let (line, version) = lines.next().ok_or(FileError::Ends { line: 1 })?;
    if version.trim() != "0" {
        return Err(FileError::Version { line, found: version.chars().take(20).collect() });
    }
    let (line, count) = lines.next().ok_or(FileError::Ends { line: 2 })?;
    let no_count = FileError::Line { line, what: "the number of entries is no number" };
    let count: usize = count.trim().parse().map_err(|_| no_count)?;
    let mut seen = 0usize;
    for (line, text) in lines {
        // Four, so that a field too many is seen.
        let mut fields = [""; 4];
        let mut n = 0;
        for field in text.split_ascii_whitespace().take(4) {
            fields[n] = field;
            n += 1;
        }
        if n == 0 {
            continue;
        }
        entry(&fields[..n]).map_err(|what| FileError::Line { line, what })?;
        seen += 1;
        if seen > count {
            return Err(FileError::Line { line, what: "more entries than the file says" });
        }
    }
    match seen < count {
        true => Err(FileError::Ends { line: seen + 3 }),
        false => Ok(()),
    }
}
