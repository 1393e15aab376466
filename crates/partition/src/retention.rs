//! Which segments a log no longer has to keep. Pure.

use record::Offset;

/// A topic's `retention.bytes` and `retention.ms`; `None` keeps for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Most bytes of whole segments, the active one included.
    pub max_bytes: Option<u64>,
    /// Oldest age of a segment's largest timestamp, in milliseconds.
    pub max_age_ms: Option<i64>,
}

/// One segment as retention sees it, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the next segment begins; the log end for the active one.
    pub next: Offset,
    /// Its length.
    pub len_bytes: u64,
    /// The largest timestamp in it.
    pub largest_timestamp_ms: i64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retain {
    /// Nothing may go.
    All,
    /// Everything below `start` may go.
    From {
        /// The new log start offset: the beginning of a segment, or the log end.
        start: Offset,
        /// Why.
        because: Because,
    },
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Its records are older than `retention.ms`.
    Age,
    /// The log is larger than `retention.bytes`.
    Size,
    /// It lies below the log start offset (DeleteRecords).
    LogStart,
}

/// Decides for one log. `extents` are its segments in order; nothing at or above
/// `high_watermark` goes. As Kafka does (`UnifiedLog.deleteOldSegments`): by age, then by size, then
/// by log start; by age even the active segment goes, by size never.
#[must_use]
pub fn decide(
    extents: &[Extent],
    rule: Retention,
    log_start: Offset,
    high_watermark: Offset,
    now_ms: i64,
) -> Retain {
    let committed = |extent: &&Extent| extent.next <= high_watermark && 0 < extent.len_bytes;
    let aged = |extent: &&Extent| {
        rule.max_age_ms.is_some_and(|age| age < now_ms.saturating_sub(extent.largest_timestamp_ms))
    };
    let last_aged = extents.iter().take_while(|e| committed(e) && aged(e)).last();
    if let Some(extent) = last_aged {
        return Retain::From { start: extent.next, because: Because::Age };
    }
    let sealed = &extents[..extents.len().saturating_sub(1)];
    if let Some(max_bytes) = rule.max_bytes {
        let total: u64 = extents.iter().map(|extent| extent.len_bytes).sum();
        let mut over = total.saturating_sub(max_bytes);
        let fits = |extent: &&Extent| {
            let goes = committed(extent) && extent.len_bytes <= over;
            over = over.saturating_sub(if goes { extent.len_bytes } else { 0 });
            goes
        };
        if let Some(extent) = sealed.iter().take_while(fits).last() {
            return Retain::From { start: extent.next, because: Because::Size };
        }
    }
    let below = sealed.iter().take_while(|extent| extent.next <= log_start).last();
    match below {
        Some(extent) => Retain::From { start: extent.next, because: Because::LogStart },
        None => Retain::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    /// Three segments of 100 bytes and 10 offsets with timestamps 10, 20, 30; the last is active.
    fn check(rule: Retention, log_start: i64, high_watermark: i64, now_ms: i64) -> Option<i64> {
        let extents: Vec<Extent> = (1..=3)
            .map(|n| Extent { next: at(n * 10), len_bytes: 100, largest_timestamp_ms: n * 10 })
            .collect();
        match decide(&extents, rule, at(log_start), at(high_watermark), now_ms) {
            Retain::All => None,
            Retain::From { start, .. } => Some(start.raw()),
        }
    }

    fn age(ms: i64) -> Retention {
        Retention { max_bytes: None, max_age_ms: Some(ms) }
    }

    fn size(bytes: u64) -> Retention {
        Retention { max_bytes: Some(bytes), max_age_ms: None }
    }

    #[test]
    fn by_age_whole_segments_go_the_active_one_too() {
        assert_eq!(check(age(5), 0, 30, 15), None, "exactly as old as allowed stays");
        assert_eq!(check(age(5), 0, 30, 16), Some(10));
        assert_eq!(check(age(5), 0, 30, 1_000), Some(30));
    }

    #[test]
    fn by_size_only_what_leaves_enough_and_never_the_active_one() {
        assert_eq!(check(size(300), 0, 30, 0), None);
        assert_eq!(check(size(201), 0, 30, 0), None, "without it the log would be too small");
        assert_eq!(check(size(200), 0, 30, 0), Some(10));
        assert_eq!(check(size(0), 0, 30, 0), Some(20));
    }

    #[test]
    fn nothing_above_the_high_watermark_goes() {
        assert_eq!(check(age(5), 0, 19, 1_000), Some(10));
        assert_eq!(check(size(0), 0, 9, 0), None);
    }

    #[test]
    fn what_lies_below_the_log_start_goes() {
        let keep = Retention { max_bytes: None, max_age_ms: None };
        assert_eq!(check(keep, 19, 30, 1_000), Some(10));
        assert_eq!(check(keep, 30, 30, 1_000), Some(20));
    }
}
