//! From offset to position: the file `.index`.
//!
//! Each entry is eight bytes, big endian: the last offset of a batch less the segment's base
//! offset (i32), and the position where that batch begins (i32). Both grow from entry to entry. A
//! lookup finds the greatest entry at or below its target; the batches from there on are read one
//! by one. (`OffsetIndex` in Kafka's sources.)

use record::Offset;

use crate::IndexError;

/// One entry of an offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetEntry {
    /// Last offset of the batch.
    pub offset: Offset,
    /// Where the batch begins in the segment, in bytes.
    pub position: u32,
}

impl OffsetEntry {
    /// Bytes of one entry in the file.
    pub const LEN: usize = 8;

    /// Reads an entry of the segment that begins at `base`. `None` if a field is negative, or the
    /// position is 0: the first batch never has an entry, so that is the zeroed end of an index
    /// that was never trimmed.
    #[must_use]
    pub fn decode(base: Offset, bytes: &[u8; OffsetEntry::LEN]) -> Option<OffsetEntry> {
        let [a, b, c, d, e, f, g, h] = *bytes;
        let relative = i32::from_be_bytes([a, b, c, d]);
        let position = i32::from_be_bytes([e, f, g, h]);
        if relative < 0 || position <= 0 {
            return None;
        }
        let position = u32::try_from(position).ok()?;
        Some(OffsetEntry { offset: base.plus(i64::from(relative)), position })
    }

    /// Writes the entry for the segment that begins at `base`.
    ///
    /// # Panics
    /// If the offset or the position is beyond what an entry can hold; a segment rolls before.
    #[must_use]
    pub fn encode(self, base: Offset) -> [u8; OffsetEntry::LEN] {
        let relative =
            i32::try_from(self.offset.since(base)).expect("a segment spans 2^31 offsets");
        let position = i32::try_from(self.position).expect("a segment is shorter than 2 GiB");
        let mut bytes = [0; OffsetEntry::LEN];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&position.to_be_bytes());
        bytes
    }
}

/// The offset index of one segment, or the later part of one, in memory. Eight bytes an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetIndex {
    base: Offset,
    /// Offset less the base, and position.
    entries: Vec<(u32, u32)>,
}

impl OffsetIndex {
    /// An empty index of the segment that begins at `base`.
    #[must_use]
    pub fn new(base: Offset) -> OffsetIndex {
        OffsetIndex { base, entries: Vec::new() }
    }

    /// Reads an index file. Zeroed entries at its end are taken for space that was never used.
    pub fn decode(base: Offset, bytes: &[u8]) -> Result<OffsetIndex, IndexError> {
        let mut index = OffsetIndex::new(base);
        let (entries, rest) = bytes.as_chunks::<{ OffsetEntry::LEN }>();
        if !rest.is_empty() {
            return Err(IndexError::Length { len_bytes: bytes.len() });
        }
        let used = entries.iter().rposition(|entry| *entry != [0; 8]).map_or(0, |at| at + 1);
        for (number, bytes) in entries[..used].iter().enumerate() {
            let entry = OffsetEntry::decode(base, bytes).filter(|entry| index.follows(*entry));
            index.push(entry.ok_or(IndexError::Order { entry: number })?);
        }
        Ok(index)
    }

    /// Whether `entry` may come after the last one.
    fn follows(&self, entry: OffsetEntry) -> bool {
        self.last().is_none_or(|last| last.offset < entry.offset && last.position < entry.position)
    }

    /// Appends an entry.
    ///
    /// # Panics
    /// If it does not lie behind the last one, or more than 2^31-1 offsets above the base.
    pub fn push(&mut self, entry: OffsetEntry) {
        assert!(self.follows(entry), "{entry:?} does not follow {:?}", self.last());
        let relative = i32::try_from(entry.offset.since(self.base)).ok();
        let relative = relative.and_then(|relative| u32::try_from(relative).ok());
        self.entries.push((relative.expect("a segment spans 2^31 offsets"), entry.position));
    }

    fn entry(&self, (relative, position): (u32, u32)) -> OffsetEntry {
        OffsetEntry { offset: self.base.plus(i64::from(relative)), position }
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

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = OffsetEntry> {
        self.entries.iter().map(|entry| self.entry(*entry))
    }

    /// The first entry.
    #[must_use]
    pub fn first(&self) -> Option<OffsetEntry> {
        self.entries.first().map(|entry| self.entry(*entry))
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> Option<OffsetEntry> {
        self.entries.last().map(|entry| self.entry(*entry))
    }

    /// The greatest entry at or below `target`: the batch of `target` begins at its position or
    /// behind. `None` if that batch may begin anywhere before the first entry.
    #[must_use]
    pub fn lookup(&self, target: Offset) -> Option<OffsetEntry> {
        let after = self.entries.partition_point(|entry| self.entry(*entry).offset <= target);
        after.checked_sub(1).map(|at| self.entry(self.entries[at]))
    }

    /// Drops every entry at or above `to`.
    pub fn truncate(&mut self, to: Offset) {
        let keep = self.entries.partition_point(|entry| self.entry(*entry).offset < to);
        self.entries.truncate(keep);
    }

    /// Drops the first `n` entries from memory: they were written to the file.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn forget(&mut self, n: usize) {
        self.entries.drain(..n);
        self.entries.shrink_to(64);
    }

    /// The bytes of entries `[from, to)` as they are in the file.
    ///
    /// # Panics
    /// If there are no such entries.
    #[must_use]
    pub fn encode(&self, from: usize, to: usize) -> Vec<u8> {
        let entries = self.entries[from..to].iter();
        entries.flat_map(|entry| self.entry(*entry).encode(self.base)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn index(base: i64, entries: &[(i64, u32)]) -> OffsetIndex {
        let mut index = OffsetIndex::new(at(base));
        for (offset, position) in entries {
            index.push(OffsetEntry { offset: at(*offset), position: *position });
        }
        index
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let index = index(1000, &[(1007, 4200), (1000 + i64::from(i32::MAX), 0x0102_0304)]);
        let bytes = index.encode(0, 2);
        assert_eq!(bytes, [0, 0, 0, 7, 0, 0, 0x10, 0x68, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        assert_eq!(OffsetIndex::decode(at(1000), &bytes), Ok(index));
    }

    #[test]
    fn a_lookup_finds_the_greatest_entry_at_or_below() {
        let index = index(0, &[(10, 100), (20, 200), (30, 300)]);
        let position = |target| index.lookup(at(target)).map(|entry| entry.position);
        assert_eq!(position(9), None);
        assert_eq!(position(10), Some(100));
        assert_eq!(position(29), Some(200));
        assert_eq!(position(1_000_000), Some(300));
    }

    #[test]
    fn truncation_drops_the_entry_of_the_offset_itself() {
        let mut index = index(0, &[(10, 100), (20, 200)]);
        index.truncate(at(21));
        assert_eq!(index.len(), 2);
        index.truncate(at(20));
        assert_eq!(index.last().map(|entry| entry.position), Some(100));
    }

    #[test]
    fn the_zeroed_end_of_an_untrimmed_index_is_no_entry() {
        let want = index(0, &[(10, 100)]);
        let mut bytes = want.encode(0, 1);
        bytes.resize(8 * 20, 0);
        assert_eq!(OffsetIndex::decode(at(0), &bytes), Ok(want));
        assert_eq!(OffsetIndex::decode(at(0), &[0; 80]), Ok(OffsetIndex::new(at(0))));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let decode = |bytes: &[u8]| OffsetIndex::decode(at(0), bytes);
        assert_eq!(decode(&[1; 9]), Err(IndexError::Length { len_bytes: 9 }));
        let order = |entry| Err(IndexError::Order { entry });
        assert_eq!(decode(&[0, 0, 0, 1, 0, 0, 0, 0]), order(0));
        assert_eq!(decode(&[0xff, 0, 0, 1, 0, 0, 0, 9]), order(0));
        let same_offset = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(decode(&same_offset), order(1));
        let position_back = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1];
        assert_eq!(decode(&position_back), order(1));
        let hole = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3];
        assert_eq!(decode(&hole), order(1));
    }
}
