//! Whether the next batch begins a new segment, and why. Pure.

use crate::LogOptions;

/// The active segment and the batch to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RollView {
    /// Bytes in the segment.
    pub(crate) len_bytes: u64,
    /// Bytes of the batch.
    pub(crate) incoming_bytes: u64,
    /// Last offset of the batch less the segment's base offset.
    pub(crate) last_offset_delta: i64,
    /// How long the segment has been open for the batch: by timestamps where there are any.
    pub(crate) age_ms: i64,
    /// What is taken off the greatest age of this segment.
    pub(crate) jitter_ms: i64,
    /// Entries of the offset index.
    pub(crate) offset_entries: u64,
    /// Entries of the time index.
    pub(crate) time_entries: u64,
}

/// Why a new segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The batch does not fit.
    Size,
    /// The segment is too old.
    Age,
    /// An index is full.
    Index,
    /// An index entry could not hold the offset.
    Offsets,
}

/// Decides as Kafka does (`LogSegment.shouldRoll`). An empty segment rolls only if its entries
/// could not hold the offsets.
pub(crate) fn decide(view: &RollView, options: &LogOptions) -> Option<Reason> {
    if i64::from(i32::MAX) < view.last_offset_delta {
        return Some(Reason::Offsets);
    }
    if view.len_bytes == 0 {
        return None;
    }
    if options.segment_bytes < view.len_bytes + view.incoming_bytes {
        return Some(Reason::Size);
    }
    if options.segment_ms.saturating_sub(view.jitter_ms) < view.age_ms {
        return Some(Reason::Age);
    }
    let bytes_max = u64::from(options.index_bytes_max);
    // One time entry is kept free for the last one of a closed segment.
    let full = bytes_max / 8 <= view.offset_entries || bytes_max / 12 <= view.time_entries + 1;
    full.then_some(Reason::Index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: LogOptions = LogOptions {
        segment_bytes: 1000,
        segment_ms: 100,
        segment_jitter_ms: 0,
        index_interval_bytes: 0,
        index_bytes_max: 120,
        file_delete_delay_ms: 0,
    };

    const VIEW: RollView = RollView {
        len_bytes: 900,
        incoming_bytes: 100,
        last_offset_delta: i32::MAX as i64,
        age_ms: 100,
        jitter_ms: 0,
        offset_entries: 14,
        time_entries: 8,
    };

    #[test]
    fn each_limit_may_be_reached_and_not_passed() {
        assert_eq!(decide(&VIEW, &OPTIONS), None);
        let cases = [
            (RollView { len_bytes: 901, ..VIEW }, Reason::Size),
            (RollView { age_ms: 101, ..VIEW }, Reason::Age),
            (RollView { jitter_ms: 1, ..VIEW }, Reason::Age),
            (RollView { offset_entries: 15, ..VIEW }, Reason::Index),
            (RollView { time_entries: 9, ..VIEW }, Reason::Index),
            (RollView { last_offset_delta: i64::from(i32::MAX) + 1, ..VIEW }, Reason::Offsets),
        ];
        for (view, want) in cases {
            assert_eq!(decide(&view, &OPTIONS), Some(want), "{view:?}");
        }
    }

    #[test]
    fn an_empty_segment_rolls_only_for_its_offsets() {
        let old = RollView { len_bytes: 0, incoming_bytes: 5000, age_ms: i64::MAX, ..VIEW };
        assert_eq!(decide(&old, &OPTIONS), None);
        let far = RollView { last_offset_delta: i64::MAX, ..old };
        assert_eq!(decide(&far, &OPTIONS), Some(Reason::Offsets));
    }
}
