//! How a pass runs, what it needs to know, what it did: plain values.

use std::collections::BTreeMap;

use record::Offset;

use crate::rewrite::Compression;
use crate::rules::LastOfProducer;
use crate::transactions::Aborted;

/// How a pass runs: the topic's configs, and what it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `compression.type` and its level.
    pub compression: Compression,
    /// Bytes that each sort holds before it spills. A pass sorts two things at a time.
    pub sort_bytes: usize,
    /// Bytes of a segment that one step reads, about: a batch is not cut.
    pub piece_bytes: u64,
    /// Bytes that are written between two checkpoints.
    pub checkpoint_bytes: u64,
}

impl Default for Settings {
    /// Kafka's defaults, 8 MiB for each sort, pieces of 256 KiB, a checkpoint every 32 MiB.
    fn default() -> Settings {
        Settings {
            delete_retention_ms: 24 * 3600 * 1000,
            min_compaction_lag_ms: 0,
            compression: Compression::default(),
            sort_bytes: 8 << 20,
            piece_bytes: 256 << 10,
            checkpoint_bytes: 32 << 20,
        }
    }
}

/// What a pass needs to know of the log beside its segments.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Nothing at or above it is touched: the last stable offset, or the recovery point that is
    /// noted if that is lower (a recovery must not take what compaction left out for a loss).
    pub stable: Offset,
    /// The wall clock, in milliseconds.
    pub now_ms: i64,
    /// The producers that are remembered.
    pub producers: BTreeMap<i64, LastOfProducer>,
    /// The aborted transactions.
    pub aborted: Aborted,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything below it was looked at.
    pub cleaned_to: Offset,
    /// Segments that were looked at.
    pub segments: u64,
    /// Of these, how many got a key index.
    pub indexed: u64,
    /// How many were written again.
    pub rewritten: u64,
    /// Into how many.
    pub written: u64,
    /// Batches whose bytes were copied.
    pub copied_batches: u64,
    /// Batches that were written again, with fewer records or a delete horizon.
    pub rewritten_batches: u64,
    /// Batches that went, or of which the header stayed.
    pub dropped_batches: u64,
    /// Records that went.
    pub dropped_records: u64,
    /// Bytes read from segments.
    pub read_bytes: u64,
    /// Bytes of batches before and after, of what was written again.
    pub before_bytes: u64,
    /// See [`before_bytes`](Report::before_bytes).
    pub after_bytes: u64,
    /// When the next tombstone or marker may go, in milliseconds.
    pub earliest_horizon_ms: Option<i64>,
    /// It went on from a checkpoint.
    pub resumed: bool,
}

impl Report {
    pub(crate) fn horizon(&mut self, horizon_ms: Option<i64>) {
        let earliest_ms = [self.earliest_horizon_ms, horizon_ms].into_iter().flatten().min();
        self.earliest_horizon_ms = earliest_ms;
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    Working(Stage),
    /// The pass is over.
    Done(Report),
}

/// What a pass is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Key indexes: so many of so many segments have one.
    Index {
        /// Segments with one.
        done: usize,
        /// Segments of the pass.
        of: usize,
    },
    /// The merge.
    Merge,
    /// Writing again: so many of so many bytes are read.
    Rewrite {
        /// Bytes that were read.
        done: u64,
        /// Bytes of the segments that are written again.
        of: u64,
    },
}
