//! Which of many logs is compacted next, and why one waits. Pure: no log, no clock.
//!
//! Deadlines come first, the oldest first; then what is dirty above its ratio, the greatest gain
//! first. A log whose pass failed waits longer after each failure, and never stops the others.

use std::collections::BTreeMap;

use crate::rules::{Dirt, Due};

/// How long a log waits after its first failure, in milliseconds; twice as long after each further one.
const BACKOFF_MS: i64 = 1_000;
/// The longest that it waits, in milliseconds.
const BACKOFF_MS_MAX: i64 = 15 * 60 * 1_000;

/// The topic's configs that decide when a log is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DueAt {
    /// `min.cleanable.dirty.ratio`.
    pub min_ratio: f64,
    /// `max.compaction.lag.ms`.
    pub max_lag_ms: i64,
}

/// A log that may be compacted, as its owner sees it now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<Id> {
    /// Which one.
    pub id: Id,
    /// How dirty it is.
    pub dirt: Dirt,
    /// When that makes it due.
    pub due_at: DueAt,
}

/// Why a log does not run, or that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A pass is running.
    Running,
    /// It is not dirty enough, and no deadline has passed.
    NotDue,
    /// It is due, for this reason; others go first.
    Turn(Due),
    /// Its last pass failed; the next one begins at this time, in milliseconds.
    Failed {
        /// Why, in words for an operator.
        why: String,
        /// How often in a row.
        times: u32,
        /// When it is tried again.
        until_ms: i64,
    },
}

/// What is known of one log, for whoever asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The part of it that is dirty, 0 to 1.
    pub dirty_ratio: f64,
    /// Bytes that a pass may touch and are dirty.
    pub cleanable_bytes: u64,
    /// What it waits for.
    pub waits: Waits,
    /// When it will be due by a deadline, if nothing else makes it so before, in milliseconds.
    pub next_deadline_ms: Option<i64>,
    /// Bytes before and after of what the last pass wrote again.
    pub last_saved: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    running: bool,
    failures: u32,
    why: String,
    until_ms: i64,
    last_saved: Option<(u64, u64)>,
}

/// Chooses among logs. It remembers one entry for each log that ran or failed; whoever deletes a log
/// says so.
#[derive(Clone, Debug)]
pub struct Chooser<Id> {
    logs: BTreeMap<Id, Entry>,
}

impl<Id: Ord + Copy> Default for Chooser<Id> {
    fn default() -> Chooser<Id> {
        Chooser { logs: BTreeMap::new() }
    }
}

impl<Id: Ord + Copy> Chooser<Id> {
    /// The log whose pass is to begin now; `None` if none is due. It counts as running until
    /// [`done`](Chooser::done) or [`failed`](Chooser::failed).
    pub fn choose(&mut self, candidates: &[Candidate<Id>], now_ms: i64) -> Option<Id> {
        let ready = candidates.iter().filter(|candidate| self.is_free(candidate.id, now_ms));
        let due = ready.filter_map(|candidate| Some((rank(candidate, now_ms)?, candidate.id)));
        let (_, id) = due.min()?;
        self.logs.entry(id).or_default().running = true;
        Some(id)
    }

    fn is_free(&self, id: Id, now_ms: i64) -> bool {
        self.logs.get(&id).is_none_or(|entry| !entry.running && entry.until_ms <= now_ms)
    }

    /// The pass of a log is over; it turned `before_bytes` into `after_bytes`.
    pub fn done(&mut self, id: Id, before_bytes: u64, after_bytes: u64) {
        let last_saved = Some((before_bytes, after_bytes));
        self.logs.insert(id, Entry { last_saved, ..Entry::default() });
    }

    /// The pass of a log failed.
    pub fn failed(&mut self, id: Id, why: String, now_ms: i64) {
        let entry = self.logs.entry(id).or_default();
        let wait_ms = BACKOFF_MS << entry.failures.min(20);
        entry.running = false;
        entry.failures = entry.failures.saturating_add(1);
        entry.why = why;
        entry.until_ms = now_ms.saturating_add(wait_ms.min(BACKOFF_MS_MAX));
    }

    /// The pass of a log was left for another reason than a failure: it may begin again at once.
    pub fn left(&mut self, id: Id) {
        if let Some(entry) = self.logs.get_mut(&id) {
            entry.running = false;
        }
    }

    /// The log is gone.
    pub fn forget(&mut self, id: Id) {
        self.logs.remove(&id);
    }

    /// How a log stands.
    #[must_use]
    pub fn explain(&self, candidate: &Candidate<Id>, now_ms: i64) -> Explanation {
        let Candidate { id, dirt, due_at } = *candidate;
        let entry = self.logs.get(&id).cloned().unwrap_or_default();
        let waits = if entry.running {
            Waits::Running
        } else if now_ms < entry.until_ms {
            let Entry { why, failures, until_ms, .. } = entry;
            Waits::Failed { why, times: failures, until_ms }
        } else {
            match dirt.due(due_at.min_ratio, due_at.max_lag_ms, now_ms) {
                Due::No => Waits::NotDue,
                due => Waits::Turn(due),
            }
        };
        let lag = dirt.first_dirty_ms.filter(|_| 0 < dirt.cleanable_bytes);
        let lag = lag.map(|first_ms| first_ms.saturating_add(due_at.max_lag_ms));
        let next_deadline_ms = [lag, dirt.earliest_horizon_ms].into_iter().flatten().min();
        Explanation {
            dirty_ratio: dirt.ratio(),
            cleanable_bytes: dirt.cleanable_bytes,
            waits,
            next_deadline_ms: next_deadline_ms.filter(|at| *at < i64::MAX),
            last_saved: entry.last_saved,
        }
    }
}

/// Lower goes first; `None` if the log is not due.
fn rank<Id>(candidate: &Candidate<Id>, now_ms: i64) -> Option<(u8, i64, i64)> {
    let Candidate { dirt, due_at, .. } = candidate;
    match dirt.due(due_at.min_ratio, due_at.max_lag_ms, now_ms) {
        Due::No => None,
        Due::Lag(at) | Due::Horizon(at) => Some((0, at, 0)),
        Due::Ratio => {
            // What is dirty is what a pass can win most of, for reading it and the rest.
            let bytes = i64::try_from(dirt.cleanable_bytes).unwrap_or(i64::MAX);
            let all = dirt.cleanable_bytes.saturating_add(dirt.clean_bytes).max(1);
            let per_mille = u128::from(dirt.cleanable_bytes) * 1_000 / u128::from(all);
            let per_mille = i64::try_from(per_mille).unwrap_or(1_000);
            Some((1, -per_mille, -bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE_AT: DueAt = DueAt { min_ratio: 0.5, max_lag_ms: 1_000 };

    fn log(id: u32, clean_bytes: u64, cleanable_bytes: u64, first_dirty_ms: i64) -> Candidate<u32> {
        let first_dirty_ms = Some(first_dirty_ms);
        let dirt = Dirt { clean_bytes, cleanable_bytes, first_dirty_ms, earliest_horizon_ms: None };
        Candidate { id, dirt, due_at: DUE_AT }
    }

    #[test]
    fn deadlines_go_first_the_oldest_first_then_the_dirtiest() {
        let mut logs = vec![
            log(1, 100, 200, 9_900),
            log(2, 1_000, 10, 8_500),
            log(3, 1_000, 10, 8_400),
            log(4, 10, 200, 9_900),
            log(5, 100, 2_000, 9_900),
            log(6, 1_000, 10, 9_900),
        ];
        logs.push(log(7, 1_000, 0, 0));
        logs[6].dirt.earliest_horizon_ms = Some(9_300);
        let mut chooser = Chooser::default();
        let order: Vec<u32> = std::iter::from_fn(|| chooser.choose(&logs, 10_000)).collect();
        assert_eq!(order, [7, 3, 2, 5, 4, 1], "6 is not due");
        assert_eq!(chooser.explain(&logs[5], 10_000).waits, Waits::NotDue);
        assert_eq!(chooser.explain(&logs[5], 10_000).next_deadline_ms, Some(10_900));
        assert_eq!(chooser.explain(&logs[0], 10_000).waits, Waits::Running);
    }

    #[test]
    fn a_log_that_fails_waits_longer_each_time_and_stops_nobody() {
        let logs = [log(1, 0, 100, 9_999), log(2, 50, 100, 9_999)];
        let mut chooser = Chooser::default();
        let mut now_ms = 10_000;
        let mut waited = Vec::new();
        for _ in 0..14 {
            assert_eq!(chooser.choose(&logs, now_ms), Some(1));
            chooser.failed(1, "a batch is damaged".to_owned(), now_ms);
            assert_eq!(chooser.choose(&logs, now_ms), Some(2));
            chooser.left(2);
            let Waits::Failed { until_ms, why, .. } = chooser.explain(&logs[0], now_ms).waits
            else {
                panic!("it failed");
            };
            assert_eq!(why, "a batch is damaged");
            waited.push(until_ms - now_ms);
            now_ms = until_ms;
        }
        assert_eq!(waited[..3], [1_000, 2_000, 4_000]);
        assert_eq!(waited[13], BACKOFF_MS_MAX);
        assert_eq!(chooser.choose(&logs, now_ms), Some(1));
        chooser.done(1, 100, 40);
        assert_eq!(chooser.explain(&logs[0], now_ms).last_saved, Some((100, 40)));
        assert_eq!(chooser.choose(&logs, now_ms), Some(1), "a pass that was done forgives");
        chooser.forget(1);
        assert_eq!(chooser.explain(&logs[0], now_ms).last_saved, None);
    }
}
