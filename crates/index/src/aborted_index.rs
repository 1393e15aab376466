//! Aborted transactions: the file `.txnindex` of the segment that holds their markers.
//!
//! Each entry is 34 bytes, big endian: version (i16, 0), producer id (i64), first offset of the
//! transaction (i64), offset of its marker (i64), and the last stable offset when the marker was
//! appended (i64). Entries are in the order of their markers. The file exists only if there is an
//! entry. (`AbortedTxn` and `TransactionIndex` in Kafka's sources.)

use record::Offset;

use crate::IndexError;

/// One aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its marker, inclusive.
    pub last_offset: Offset,
    /// The last stable offset when the marker was appended.
    pub last_stable: Offset,
}

const VERSION: i16 = 0;

impl AbortedTransaction {
    /// Bytes of one entry in the file.
    pub const LEN: usize = 34;

    /// The bytes of one entry.
    #[must_use]
    pub fn encode(&self) -> [u8; AbortedTransaction::LEN] {
        let mut bytes = [0; AbortedTransaction::LEN];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.raw().to_be_bytes());
        bytes[18..26].copy_from_slice(&self.last_offset.raw().to_be_bytes());
        bytes[26..].copy_from_slice(&self.last_stable.raw().to_be_bytes());
        bytes
    }

    /// Reads one entry. `None` if its version is not known, an offset is negative, or its marker
    /// does not lie behind its first record.
    #[must_use]
    pub fn decode(bytes: &[u8; AbortedTransaction::LEN]) -> Option<AbortedTransaction> {
        let field = |at: usize| {
            let bytes = bytes[at..at + 8].try_into().expect("eight bytes of an entry");
            i64::from_be_bytes(bytes)
        };
        let entry = AbortedTransaction {
            producer_id: field(2),
            first_offset: Offset::new(field(10))?,
            last_offset: Offset::new(field(18))?,
            last_stable: Offset::new(field(26))?,
        };
        let version = i16::from_be_bytes([bytes[0], bytes[1]]);
        // Zeros, which a power cut may leave, are no entry.
        (version == VERSION && entry.first_offset < entry.last_offset).then_some(entry)
    }

    /// Whether it has records in `[from, until)`.
    #[must_use]
    pub fn overlaps(&self, from: Offset, until: Offset) -> bool {
        from <= self.last_offset && self.first_offset < until
    }

    /// Whether no transaction that ends behind this one has records below `until`.
    #[must_use]
    pub fn is_last_for(&self, until: Offset) -> bool {
        until <= self.last_stable
    }
}

/// The aborted transactions of one segment, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbortedIndex {
    entries: Vec<AbortedTransaction>,
}

impl AbortedIndex {
    /// No aborted transaction.
    #[must_use]
    pub fn new() -> AbortedIndex {
        AbortedIndex::default()
    }

    /// Reads an index file.
    pub fn decode(bytes: &[u8]) -> Result<AbortedIndex, IndexError> {
        let (chunks, rest) = bytes.as_chunks::<{ AbortedTransaction::LEN }>();
        if !rest.is_empty() {
            return Err(IndexError::Length { len_bytes: bytes.len() });
        }
        let mut index = AbortedIndex::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let version = i16::from_be_bytes([chunk[0], chunk[1]]);
            if version != VERSION {
                return Err(IndexError::Version { found: version });
            }
            let entry = AbortedTransaction::decode(chunk);
            let entry = entry.filter(|entry| index.follows(entry));
            index.entries.push(entry.ok_or(IndexError::Order { entry: number })?);
        }
        Ok(index)
    }

    fn follows(&self, entry: &AbortedTransaction) -> bool {
        entry.first_offset < entry.last_offset
            && self.entries.last().is_none_or(|last| last.last_offset < entry.last_offset)
    }

    /// Appends a transaction whose marker was appended.
    ///
    /// # Panics
    /// If its marker does not lie behind the last one's and its first record.
    pub fn push(&mut self, entry: AbortedTransaction) {
        assert!(self.follows(&entry), "{entry:?} does not follow {:?}", self.entries.last());
        self.entries.push(entry);
    }

    /// All entries in order.
    #[must_use]
    pub fn entries(&self) -> &[AbortedTransaction] {
        &self.entries
    }

    /// The transactions that have records in `[from, until)`, and whether that is all of them: an
    /// entry with a last stable offset at or above `until` shows that no later segment has more.
    #[must_use]
    pub fn overlapping(&self, from: Offset, until: Offset) -> (Vec<AbortedTransaction>, bool) {
        let mut found = Vec::new();
        for entry in &self.entries {
            if entry.overlaps(from, until) {
                found.push(*entry);
            }
            if entry.is_last_for(until) {
                return (found, true);
            }
        }
        (found, false)
    }

    /// Drops every transaction whose marker is at or above `to`.
    pub fn truncate(&mut self, to: Offset) {
        let keep = self.entries.partition_point(|entry| entry.last_offset < to);
        self.entries.truncate(keep);
    }

    /// Drops the first `count` entries: they are in the file.
    pub fn forget(&mut self, count: usize) {
        self.entries.drain(..count);
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.entries.iter().flat_map(AbortedTransaction::encode).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn aborted(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id,
            first_offset: at(first),
            last_offset: at(last),
            last_stable: at(stable),
        }
    }

    fn index(entries: &[AbortedTransaction]) -> AbortedIndex {
        let mut index = AbortedIndex::new();
        for entry in entries {
            index.push(*entry);
        }
        index
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let index = index(&[aborted(7, 0x10, 0x20, 0x30)]);
        let bytes = index.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let want = "0000 0000000000000007 0000000000000010 0000000000000020 0000000000000030";
        assert_eq!(hex, want.replace(' ', ""));
        assert_eq!(AbortedIndex::decode(&bytes), Ok(index));
    }

    #[test]
    fn a_reader_gets_what_overlaps_and_knows_when_that_is_all() {
        let index = index(&[aborted(1, 0, 10, 5), aborted(2, 8, 20, 20)]);
        let ids = |from, until| {
            let (found, complete) = index.overlapping(at(from), at(until));
            (found.iter().map(|entry| entry.producer_id).collect::<Vec<_>>(), complete)
        };
        assert_eq!(ids(0, 5), (vec![1], true));
        assert_eq!(ids(9, 12), (vec![1, 2], true));
        assert_eq!(ids(11, 30), (vec![2], false));
        assert_eq!(ids(21, 30), (vec![], false));
    }

    #[test]
    fn truncation_goes_by_the_marker() {
        let mut index = index(&[aborted(1, 0, 10, 5), aborted(2, 8, 20, 20)]);
        index.truncate(at(20));
        assert_eq!(index.entries().len(), 1);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let good = index(&[aborted(1, 0, 10, 5)]).encode();
        assert_eq!(AbortedIndex::decode(&good[1..]), Err(IndexError::Length { len_bytes: 33 }));
        let twice = [good.clone(), good.clone()].concat();
        assert_eq!(AbortedIndex::decode(&twice), Err(IndexError::Order { entry: 1 }));
        assert!(AbortedIndex::decode(&[0; AbortedTransaction::LEN]).is_err());
        let mut other = good;
        other[1] = 1;
        assert_eq!(AbortedIndex::decode(&other), Err(IndexError::Version { found: 1 }));
    }
}
