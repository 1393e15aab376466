//! Which segments of a pass are written again, and which of them become one. Pure.

use std::ops::Range;

use segment::SegmentView;

use crate::rules::PassTime;

/// A segment of a pass, as far as the plan needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// What it is.
    pub view: SegmentView,
    /// Data records in it.
    pub records: u64,
    /// Of these, how many are the latest of their key in it.
    pub latest: u64,
    /// Of those, how many a later segment supersedes.
    pub superseded: u64,
    /// Batches with a tombstone and without a delete horizon.
    pub undated_batches: u64,
    /// The earliest delete horizon of a batch with a tombstone, or of a marker whose transaction has
    /// no data left, in milliseconds.
    pub earliest_horizon_ms: Option<i64>,
    /// A marker of it whose transaction has no data left gets a delete horizon, or goes.
    pub marker_is_due: bool,
}

impl SegmentFacts {
    /// Whether a pass changes it: a record goes, or a batch gets a delete horizon.
    #[must_use]
    pub fn is_dirty(&self, time: PassTime) -> bool {
        self.latest < self.records
            || 0 < self.superseded
            || 0 < self.undated_batches
            || self.marker_is_due
            || time.has_passed(self.earliest_horizon_ms)
    }
}

/// The bounds of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// Most segments that become one.
    pub sources: usize,
}

/// A clean segment is written again only to become one with a neighbour, and only up to this part
/// of a full one: so each byte is written a few times and not once for each small newcomer.
const SMALL_PART: u64 = 4;

/// Groups of neighbours that are written again, each into one file (or more, if what is compressed
/// anew grows). A clean segment is in a group only if it is small and has a neighbour in it.
#[must_use]
pub fn groups(segments: &[SegmentFacts], limits: FileLimits, time: PassTime) -> Vec<Range<usize>> {
    let joins = |facts: &SegmentFacts| {
        facts.is_dirty(time) || facts.view.len_bytes <= limits.segment_bytes / SMALL_PART
    };
    let mut groups = Vec::new();
    let mut first = 0;
    while first < segments.len() {
        if !joins(&segments[first]) {
            first += 1;
            continue;
        }
        let base = segments[first].view.base;
        let mut bytes = 0_u64;
        let fits = |facts: &&SegmentFacts| {
            bytes = bytes.saturating_add(facts.view.len_bytes);
            joins(facts)
                && (facts.view.base == base || bytes <= limits.segment_bytes)
                && facts.view.next.since(base) <= i64::from(i32::MAX)
        };
        let rest = &segments[first..];
        let count = rest.iter().take(limits.sources).take_while(fits).count().max(1);
        let group = first..first + count;
        if 1 < count || segments[first].is_dirty(time) {
            groups.push(group);
        }
        first += count;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Offset;

    const TIME: PassTime = PassTime { now_ms: 1_000, delete_retention_ms: 0, from_start: true };
    const LIMITS: FileLimits = FileLimits { segment_bytes: 1_000, sources: 64 };

    /// Segments of ten offsets: length, and whether a record is superseded.
    fn segments(of: &[(u64, bool)]) -> Vec<SegmentFacts> {
        let at = |n: usize| Offset::ZERO.plus(i64::try_from(n * 10).unwrap());
        let segment = |(n, (len_bytes, dirty)): (usize, &(u64, bool))| SegmentFacts {
            view: SegmentView {
                base: at(n),
                next: at(n + 1),
                len_bytes: *len_bytes,
                largest_timestamp_ms: None,
                since_ms: 0,
                active: false,
                durable: true,
            },
            records: 10,
            latest: 10,
            superseded: u64::from(*dirty),
            undated_batches: 0,
            earliest_horizon_ms: None,
            marker_is_due: false,
        };
        of.iter().enumerate().map(segment).collect()
    }

    fn planned(of: &[(u64, bool)]) -> Vec<(usize, usize)> {
        ranges(&segments(of), LIMITS)
    }

    fn ranges(segments: &[SegmentFacts], limits: FileLimits) -> Vec<(usize, usize)> {
        let groups = groups(segments, limits, TIME);
        groups.into_iter().map(|group| (group.start, group.end)).collect()
    }

    #[test]
    fn only_a_dirty_segment_is_written_again() {
        assert_eq!(planned(&[(900, false), (900, true), (900, false)]), [(1, 2)]);
        assert_eq!(planned(&[(900, false), (900, false)]), []);
        assert_eq!(planned(&[(100, false), (900, false)]), [], "a small one alone stays");
    }

    #[test]
    fn each_reason_makes_a_segment_dirty() {
        let clean = segments(&[(900, false)])[0];
        assert!(!clean.is_dirty(TIME));
        assert!(SegmentFacts { latest: 9, ..clean }.is_dirty(TIME));
        assert!(SegmentFacts { superseded: 1, ..clean }.is_dirty(TIME));
        assert!(SegmentFacts { undated_batches: 1, ..clean }.is_dirty(TIME));
        assert!(SegmentFacts { marker_is_due: true, ..clean }.is_dirty(TIME));
        let waits = SegmentFacts { earliest_horizon_ms: Some(1_001), ..clean };
        assert!(!waits.is_dirty(TIME));
        assert!(SegmentFacts { earliest_horizon_ms: Some(1_000), ..clean }.is_dirty(TIME));
    }

    #[test]
    fn small_neighbours_become_one_up_to_a_full_segment() {
        assert_eq!(planned(&[(250, false), (250, false), (251, false)]), [(0, 2)]);
        assert_eq!(planned(&[(400, true), (400, true), (400, true)]), [(0, 2), (2, 3)]);
        assert_eq!(planned(&[(5_000, true), (10, false)]), [(0, 1)], "it is full already");
        let few = FileLimits { sources: 2, ..LIMITS };
        assert_eq!(ranges(&segments(&[(10, false); 5]), few), [(0, 2), (2, 4)]);
    }

    #[test]
    fn one_file_spans_no_more_than_31_bits_of_offsets() {
        let mut far = segments(&[(10, false), (10, false), (10, false)]);
        far[1].view.next = Offset::ZERO.plus(i64::from(i32::MAX));
        far[2].view.base = far[1].view.next;
        far[2].view.next = far[2].view.base.plus(10);
        assert_eq!(ranges(&far, LIMITS), [(0, 2)]);
    }
}
