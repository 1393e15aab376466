//! Kafka's rules, as pure functions: which records stay, what becomes of their batch, how much of a
//! log a pass may touch, and when a log is due (`Cleaner`, `LogCleanerManager`,
//! `CleanedTransactionMetadata` and `MemoryRecords.filterTo` in Kafka's sources).

use record::Offset;

/// What is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The latest of its key, with a value.
    Value,
    /// The latest of its key, without a value.
    Tombstone,
    /// A later record below the end of the pass has its key.
    Superseded,
    /// It has no key, which a compacted topic does not take: it was there before.
    Unkeyed,
    /// Its transaction was aborted.
    Aborted,
    /// It ends a transaction of which there is a data batch in front of it.
    Marker,
    /// It ends a transaction of which there is nothing left.
    EmptyMarker,
    /// It is another control record.
    Control,
}

/// When and where a pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassTime {
    /// The wall clock when the pass began, in milliseconds.
    pub now_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// Whether the pass begins at the start of the log: only then it has seen everything that a
    /// tombstone or a marker speaks of.
    pub from_start: bool,
}

impl PassTime {
    /// The delete horizon of a batch that gets one now.
    #[must_use]
    pub fn new_horizon_ms(&self) -> i64 {
        self.now_ms.saturating_add(self.delete_retention_ms)
    }

    /// Whether a horizon has passed.
    #[must_use]
    pub fn has_passed(&self, horizon_ms: Option<i64>) -> bool {
        self.from_start && horizon_ms.is_some_and(|horizon_ms| horizon_ms <= self.now_ms)
    }
}

/// Whether a record stays; `horizon_ms` is the delete horizon of its batch.
#[must_use]
pub fn keeps(kind: RecordKind, horizon_ms: Option<i64>, time: PassTime) -> bool {
    match kind {
        RecordKind::Value | RecordKind::Marker | RecordKind::Control => true,
        RecordKind::Superseded | RecordKind::Unkeyed | RecordKind::Aborted => false,
        RecordKind::Tombstone | RecordKind::EmptyMarker => !time.has_passed(horizon_ms),
    }
}

/// Whether a batch that keeps a record of this kind needs a delete horizon.
#[must_use]
pub fn wants_horizon(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Tombstone | RecordKind::EmptyMarker)
}

/// What is known of a batch once its records were decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFacts {
    /// Records in it.
    pub records: i32,
    /// How many of them stay.
    pub kept: i32,
    /// One that stays wants a delete horizon, and the batch has none.
    pub needs_horizon: bool,
    /// It has the last sequence of its producer, or, of one that sent no data, the last epoch.
    pub last_of_producer: bool,
    /// It is the last batch of its file. Kafka keeps that of the round; here each file keeps its
    /// own, so that no offsets are missing between two files.
    pub last_of_file: bool,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFate {
    /// Its bytes are copied.
    Copy,
    /// It is written again, with the records that stay.
    Rewrite,
    /// Its header stays, without a record.
    Header,
    /// It goes.
    Drop,
}

/// What becomes of a batch.
#[must_use]
pub fn batch(facts: BatchFacts) -> BatchFate {
    let stays = facts.last_of_producer || facts.last_of_file;
    match facts.kept {
        0 if stays && facts.records == 0 => BatchFate::Copy,
        0 if stays => BatchFate::Header,
        0 => BatchFate::Drop,
        kept if kept == facts.records && !facts.needs_horizon => BatchFate::Copy,
        _ => BatchFate::Rewrite,
    }
}

/// The last batch of a producer that is still remembered, as its partition knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastOfProducer {
    /// Last offset of its last data batch; `None` if only markers are known.
    pub last_data_offset: Option<Offset>,
    /// Its epoch.
    pub epoch: i16,
}

impl LastOfProducer {
    /// Whether a batch of this producer is the one that must stay.
    #[must_use]
    pub fn is(&self, last_offset: Offset, epoch: i16, control: bool) -> bool {
        match self.last_data_offset {
            Some(last) => last == last_offset,
            None => control && self.epoch == epoch,
        }
    }
}

/// A sealed segment, as far as the choice of what to compact needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first offset.
    pub base: Offset,
    /// Where the next one begins.
    pub next: Offset,
    /// Its length.
    pub len_bytes: u64,
    /// Its largest timestamp, in milliseconds; -1 for none.
    pub largest_timestamp_ms: i64,
}

/// How many of `sealed`, from the first on, a pass may touch: whole segments below `stable`, the
/// smaller of the last stable offset and what is known to be flushed, and before the first one from
/// `first_dirty` on with a record that is younger than `min.compaction.lag.ms`.
#[must_use]
pub fn cleanable(
    sealed: &[Extent],
    stable: Offset,
    first_dirty: Offset,
    min_lag_ms: i64,
    now_ms: i64,
) -> usize {
    let young = |extent: &Extent| {
        let dirty = first_dirty < extent.next;
        0 < min_lag_ms && dirty && now_ms.saturating_sub(min_lag_ms) < extent.largest_timestamp_ms
    };
    sealed.iter().take_while(|extent| extent.next <= stable && !young(extent)).count()
}

/// Whether and why a log is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is not.
    No,
    /// A record has not been compacted for `max.compaction.lag.ms`, since that time.
    Lag(i64),
    /// The delete horizon of a tombstone or marker has passed, at that time.
    Horizon(i64),
    /// More than `min.cleanable.dirty.ratio` of it is dirty.
    Ratio,
}

/// How dirty a log is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dirt {
    /// Bytes below the first dirty offset.
    pub clean_bytes: u64,
    /// Bytes from there on that a pass may touch.
    pub cleanable_bytes: u64,
    /// The first timestamp of what is dirty, in milliseconds; `None` if nothing is.
    pub first_dirty_ms: Option<i64>,
    /// The earliest delete horizon in the log, in milliseconds.
    pub earliest_horizon_ms: Option<i64>,
}

impl Dirt {
    /// The part of the log that is dirty, 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let all = self.clean_bytes.saturating_add(self.cleanable_bytes);
        if all == 0 { 0.0 } else { self.cleanable_bytes as f64 / all as f64 }
    }

    /// Whether a pass is due, deadlines first.
    #[must_use]
    pub fn due(&self, min_ratio: f64, max_lag_ms: i64, now_ms: i64) -> Due {
        let lag_ms = self.first_dirty_ms.map(|first_ms| first_ms.saturating_add(max_lag_ms));
        let lag_ms = lag_ms.filter(|at| 0 < self.cleanable_bytes && *at < now_ms);
        let horizon_ms = self.earliest_horizon_ms.filter(|at| *at <= now_ms);
        match (lag_ms, horizon_ms) {
            (Some(lag), Some(horizon)) if horizon < lag => Due::Horizon(horizon),
            (Some(lag), _) => Due::Lag(lag),
            (None, Some(horizon)) => Due::Horizon(horizon),
            (None, None) if 0 < self.cleanable_bytes && min_ratio < self.ratio() => Due::Ratio,
            (None, None) => Due::No,
        }
    }
}

#[cfg(test)]
mod tests;
