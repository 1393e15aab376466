//! From timestamp to offset: the file `.timeindex`.
//!
//! Each entry is twelve bytes, big endian: a timestamp (i64) and an offset less the segment's base
//! offset (i32). It says that no record up to that offset has a larger timestamp; timestamps grow
//! from entry to entry, offsets do not fall. The last entry of a closed segment holds the largest
//! timestamp of all. (`TimeIndex` in Kafka's sources.)

use record::Offset;

use crate::IndexError;

/// One entry of a time index: a timestamp, and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// The largest timestamp up to the offset, in milliseconds.
    pub timestamp_ms: i64,
    /// Last offset of the batch with that timestamp.
    pub offset: Offset,
}

impl TimeEntry {
    /// Bytes of one entry in the file.
    pub const LEN: usize = 12;

    /// Reads an entry of the segment that begins at `base`; `None` if a field is negative.
    #[must_use]
    pub fn decode(base: Offset, bytes: &[u8; TimeEntry::LEN]) -> Option<TimeEntry> {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        let timestamp_ms = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let relative = i32::from_be_bytes([i, j, k, l]);
        if relative < 0 || timestamp_ms < 0 {
            return None;
        }
        Some(TimeEntry { timestamp_ms, offset: base.plus(i64::from(relative)) })
    }

    /// Writes the entry for the segment that begins at `base`.
    ///
    /// # Panics
    /// If the offset is beyond what an entry can hold; a segment rolls before.
    #[must_use]
    pub fn encode(self, base: Offset) -> [u8; TimeEntry::LEN] {
        let relative =
            i32::try_from(self.offset.since(base)).expect("a segment spans 2^31 offsets");
        let mut bytes = [0; TimeEntry::LEN];
        bytes[..8].copy_from_slice(&self.timestamp_ms.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        bytes
    }
}

/// The time index of one segment, or the later part of one, in memory. Sixteen bytes an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeIndex {
    base: Offset,
    /// What new entries must lie behind: the last entry of the part that is not in memory.
    floor: Option<TimeEntry>,
    entries: Vec<TimeEntry>,
}

impl TimeIndex {
    /// An empty index of the segment that begins at `base`.
    #[must_use]
    pub fn new(base: Offset) -> TimeIndex {
        TimeIndex { base, floor: None, entries: Vec::new() }
    }

    /// The later part of an index whose earlier part, in the file, ends with `floor` or an entry of
    /// the same timestamp behind it.
    #[must_use]
    pub fn after(base: Offset, floor: Option<TimeEntry>) -> TimeIndex {
        TimeIndex { base, floor, entries: Vec::new() }
    }

    /// Reads an index file. Zeroed entries at its end are taken for space that was never used,
    /// but for the very first: timestamp 0 at the base offset is an entry.
    pub fn decode(base: Offset, bytes: &[u8]) -> Result<TimeIndex, IndexError> {
        let mut index = TimeIndex::new(base);
        let (entries, rest) = bytes.as_chunks::<{ TimeEntry::LEN }>();
        if !rest.is_empty() {
            return Err(IndexError::Length { len_bytes: bytes.len() });
        }
        let used = entries.iter().rposition(|entry| *entry != [0; 12]).map_or(1, |at| at + 1);
        for (number, bytes) in entries[..used.min(entries.len())].iter().enumerate() {
            let entry = TimeEntry::decode(base, bytes).filter(|entry| index.follows(*entry));
            index.entries.push(entry.ok_or(IndexError::Order { entry: number })?);
        }
        Ok(index)
    }

    fn follows(&self, entry: TimeEntry) -> bool {
        self.last().is_none_or(|last| {
            last.timestamp_ms < entry.timestamp_ms && last.offset <= entry.offset
        })
    }

    /// Appends `entry` if its timestamp is larger than the last one's and not negative; says
    /// whether it did.
    ///
    /// # Panics
    /// If it is larger but its offset lies before the last one's.
    pub fn push_if_larger(&mut self, entry: TimeEntry) -> bool {
        let last_ms = self.last().map_or(-1, |last| last.timestamp_ms);
        if entry.timestamp_ms <= last_ms {
            return false;
        }
        assert!(self.follows(entry), "{entry:?} does not follow {:?}", self.last());
        self.entries.push(entry);
        true
    }

    /// Base offset of the segment.
    #[must_use]
    pub fn base(&self) -> Offset {
        self.base
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in memory, in order.
    #[must_use]
    pub fn entries(&self) -> &[TimeEntry] {
        &self.entries
    }

    /// The last entry, in memory or not.
    #[must_use]
    pub fn last(&self) -> Option<TimeEntry> {
        self.entries.last().copied().or(self.floor)
    }

    /// The greatest entry at or below `timestamp_ms`: the first record at or after that timestamp
    /// is in the batch of that entry or behind it. `None` if it may be anywhere.
    #[must_use]
    pub fn lookup(&self, timestamp_ms: i64) -> Option<TimeEntry> {
        let after = self.entries.partition_point(|entry| entry.timestamp_ms <= timestamp_ms);
        after.checked_sub(1).map(|at| self.entries[at])
    }

    /// Drops every entry at or above `to`.
    pub fn truncate(&mut self, to: Offset) {
        let keep = self.entries.partition_point(|entry| entry.offset < to);
        self.entries.truncate(keep);
        self.floor = self.floor.filter(|floor| floor.offset < to);
    }

    /// Drops the first `n` entries from memory: they were written to the file.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn forget(&mut self, n: usize) {
        self.floor = self.entries.drain(..n).next_back().or(self.floor);
        self.entries.shrink_to(64);
    }

    /// The bytes of entries `[from, to)` as they are in the file.
    ///
    /// # Panics
    /// If there are no such entries.
    #[must_use]
    pub fn encode(&self, from: usize, to: usize) -> Vec<u8> {
        self.entries[from..to].iter().flat_map(|entry| entry.encode(self.base)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn entry(timestamp_ms: i64, offset: i64) -> TimeEntry {
        TimeEntry { timestamp_ms, offset: at(offset) }
    }

    fn index(base: i64, entries: &[(i64, i64)]) -> TimeIndex {
        let mut index = TimeIndex::new(at(base));
        for (timestamp_ms, offset) in entries {
            assert!(index.push_if_larger(entry(*timestamp_ms, *offset)));
        }
        index
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let index = index(1000, &[(0x0102_0304_0506_0708, 1007)]);
        let bytes = index.encode(0, 1);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 7]);
        assert_eq!(TimeIndex::decode(at(1000), &bytes), Ok(index));
    }

    #[test]
    fn only_larger_timestamps_are_entered() {
        let mut index = TimeIndex::new(at(0));
        assert!(!index.push_if_larger(entry(-1, 0)), "no timestamp");
        assert!(index.push_if_larger(entry(0, 0)));
        assert!(!index.push_if_larger(entry(0, 9)));
        assert!(index.push_if_larger(entry(5, 9)));
        assert!(index.push_if_larger(entry(6, 9)), "the same offset may stay");
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn a_lookup_finds_the_greatest_entry_at_or_below() {
        let index = index(0, &[(10, 1), (20, 2)]);
        assert_eq!(index.lookup(9), None);
        assert_eq!(index.lookup(10), Some(entry(10, 1)));
        assert_eq!(index.lookup(19), Some(entry(10, 1)));
        assert_eq!(index.lookup(i64::MAX), Some(entry(20, 2)));
    }

    #[test]
    fn timestamp_zero_at_the_base_is_an_entry_and_a_zeroed_end_is_none() {
        let want = index(7, &[(0, 7)]);
        let mut bytes = want.encode(0, 1);
        assert_eq!(TimeIndex::decode(at(7), &bytes), Ok(want.clone()));
        bytes.resize(12 * 9, 0);
        assert_eq!(TimeIndex::decode(at(7), &bytes), Ok(want));
        assert_eq!(TimeIndex::decode(at(7), &[]), Ok(TimeIndex::new(at(7))));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let decode = |bytes: &[u8]| TimeIndex::decode(at(0), bytes);
        assert_eq!(decode(&[0; 13]), Err(IndexError::Length { len_bytes: 13 }));
        let first = entry(5, 5).encode(at(0));
        for second in [entry(5, 6), entry(6, 4)] {
            let bytes = [first, second.encode(at(0))].concat();
            assert_eq!(decode(&bytes), Err(IndexError::Order { entry: 1 }));
        }
        assert_eq!(decode(&[0xff; 12]), Err(IndexError::Order { entry: 0 }));
    }
}
