//! When a batch gets an index entry: the same rule for appending and for rebuilding.

use record::{Header, Offset};

use crate::{OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};

/// Offset index and time index of a segment while batches are added, one after the other.
///
/// A batch gets entries if more than the interval of bytes was added since the last batch that
/// did, before it; the time entry holds the largest timestamp so far, the batch included, and is
/// left out unless it is larger than the last one. So a rebuild from the headers of a segment
/// gives the bytes that were there (`LogSegment` in Kafka's sources).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Building {
    /// Entries by offset.
    pub offsets: OffsetIndex,
    /// Entries by time.
    pub times: TimeIndex,
    bytes_since_entry: u64,
    largest: Option<TimeEntry>,
}

impl Building {
    /// For the empty segment that begins at `base`.
    #[must_use]
    pub fn new(base: Offset) -> Building {
        Building {
            offsets: OffsetIndex::new(base),
            times: TimeIndex::new(base),
            bytes_since_entry: 0,
            largest: None,
        }
    }

    /// For the later part of a segment whose earlier part is indexed in files. `largest` is the
    /// largest timestamp of the earlier part and the last offset of its batch; the time index in
    /// the file ends with it.
    #[must_use]
    pub fn resume(base: Offset, largest: Option<TimeEntry>) -> Building {
        Building {
            offsets: OffsetIndex::new(base),
            times: TimeIndex::after(base, largest),
            bytes_since_entry: 0,
            largest,
        }
    }

    /// Adds the next batch, which begins at `position`, with an entry every `interval_bytes`.
    ///
    /// # Panics
    /// If its offsets do not lie behind those of the last entry, or not within 2^31-1 of the base.
    pub fn add(&mut self, header: &Header, position: u32, interval_bytes: u32) {
        let last_offset = header.last_offset();
        if self.largest.map_or(-1, |largest| largest.timestamp_ms) < header.max_timestamp_ms {
            let timestamp_ms = header.max_timestamp_ms;
            self.largest = Some(TimeEntry { timestamp_ms, offset: last_offset });
        }
        if u64::from(interval_bytes) < self.bytes_since_entry {
            self.offsets.push(OffsetEntry { offset: last_offset, position });
            if let Some(largest) = self.largest {
                self.times.push_if_larger(largest);
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.len as u64;
    }

    /// Adds the time entry that a closed segment ends with, unless it is there. More batches may
    /// follow.
    pub fn finish(&mut self) {
        if let Some(largest) = self.largest {
            self.times.push_if_larger(largest);
        }
    }

    /// The largest timestamp so far, with the last offset of the batch that had it first.
    #[must_use]
    pub fn largest(&self) -> Option<TimeEntry> {
        self.largest
    }

    /// Base offset of the segment.
    #[must_use]
    pub fn base(&self) -> Offset {
        self.offsets.base()
    }

    /// Appends what was built for the part of the segment that comes behind this one.
    ///
    /// # Panics
    /// If its offset entries do not lie behind those of this part.
    pub fn extend(&mut self, later: &Building) {
        later.offsets.entries().for_each(|entry| self.offsets.push(entry));
        for entry in later.times.entries() {
            self.times.push_if_larger(*entry);
        }
        if let Some(largest) = later.largest
            && self.largest.is_none_or(|mine| mine.timestamp_ms < largest.timestamp_ms)
        {
            self.largest = Some(largest);
        }
        self.bytes_since_entry = later.bytes_since_entry;
    }

    /// Drops everything at or above `to`; `largest` is what is left as the largest timestamp.
    pub fn truncate(&mut self, to: Offset, largest: Option<TimeEntry>) {
        self.offsets.truncate(to);
        self.times.truncate(to);
        self.bytes_since_entry = 0;
        self.largest = largest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Attributes;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn batch(base: i64, len: usize, max_timestamp_ms: i64) -> Header {
        Header {
            base_offset: at(base),
            len,
            leader_epoch: 0,
            crc: 0,
            attributes: Attributes::new(0),
            last_offset_delta: 1,
            base_timestamp_ms: 0,
            max_timestamp_ms,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records: 2,
        }
    }

    type Entries = (Vec<(i64, u32)>, Vec<(i64, i64)>);

    /// Adds batches of 100 bytes and two records, and says `(last offset, position)` and
    /// `(timestamp, offset)` of the entries.
    fn build(timestamps: &[i64], interval: u32) -> Entries {
        let mut building = Building::new(at(0));
        for (number, timestamp) in (0_u32..).zip(timestamps) {
            building.add(&batch(i64::from(number) * 2, 100, *timestamp), number * 100, interval);
        }
        building.finish();
        let offsets = building.offsets.encode(0, building.offsets.len());
        let times = building.times.encode(0, building.times.len());
        let offsets = offsets.as_chunks().0.iter().map(|entry| {
            let entry = OffsetEntry::decode(at(0), entry).unwrap();
            (entry.offset.raw(), entry.position)
        });
        let times = times.as_chunks().0.iter().map(|entry| {
            let entry = TimeEntry::decode(at(0), entry).unwrap();
            (entry.timestamp_ms, entry.offset.raw())
        });
        (offsets.collect(), times.collect())
    }

    #[test]
    fn an_entry_comes_after_more_than_the_interval() {
        let (offsets, times) = build(&[10, 20, 30, 40, 50, 60], 200);
        // 300 bytes were added before the fourth batch: more than 200, not only as many.
        assert_eq!(offsets, [(7, 300)]);
        assert_eq!(times, [(40, 7), (60, 11)]);
    }

    #[test]
    fn the_first_batch_never_has_an_entry() {
        assert_eq!(build(&[10, 20], 0).0, [(3, 100)]);
    }

    #[test]
    fn the_time_entry_names_the_batch_that_had_the_timestamp_first() {
        let (_, times) = build(&[50, 10, 50, 20, 10], 0);
        assert_eq!(times, [(50, 1)]);
        assert_eq!(build(&[-1, -1], 0).1, []);
    }

    #[test]
    fn two_parts_are_one_index() {
        let times = [50, 10, 60, 20, 70, 70, 10];
        let mut whole = Building::new(at(0));
        let (mut first, mut second) = (Building::new(at(0)), Building::resume(at(0), None));
        for (number, timestamp) in (0_u32..).zip(times) {
            let header = batch(i64::from(number) * 2, 100, timestamp);
            whole.add(&header, number * 100, 0);
            let part = if number < 4 { &mut first } else { &mut second };
            part.add(&header, number * 100, 0);
        }
        first.extend(&second);
        assert_eq!(first.times, whole.times);
        assert_eq!(first.largest, whole.largest);
        assert_eq!(first.offsets.len(), whole.offsets.len() - 1, "where the second part begins");
    }

    #[test]
    fn a_finished_index_may_go_on() {
        let mut building =
            Building::resume(at(0), Some(TimeEntry { timestamp_ms: 9, offset: at(1) }));
        building.add(&batch(2, 100, 9), 100, 0);
        building.finish();
        assert!(building.times.is_empty(), "it is in the file");
        building.add(&batch(4, 100, 11), 200, 0);
        assert_eq!(building.times.len(), 1);
        assert_eq!(building.offsets.first(), Some(OffsetEntry { offset: at(5), position: 200 }));
        building.times.forget(1);
        building.finish();
        assert!(building.times.is_empty());
        building.truncate(at(4), Some(TimeEntry { timestamp_ms: 9, offset: at(1) }));
        building.add(&batch(4, 100, 10), 200, 0);
        building.finish();
        assert_eq!(building.times.last().map(|entry| entry.timestamp_ms), Some(10));
    }
}
