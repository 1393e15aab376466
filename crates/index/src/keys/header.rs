//! The first page of a key index.

use buf::PAGE;
use record::Offset;

use super::{Extent, KeyEntry, Note, TransactionEvent};

const MAGIC: [u8; 8] = *b"EKKEYIDX";
/// The version of the form.
const VERSION: u16 = 1;
/// What the checksum covers; it lies right behind.
const COVERED: usize = 508;

/// Which content of a segment file is meant: an index that was built for another does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogIdentity {
    /// Bytes of batches.
    pub len_bytes: u64,
    /// Where the last batch begins; 0 if there is none.
    pub last_position: u64,
    /// Checksum of the first batch, as in its header; 0 if there is none.
    pub first_crc: u32,
    /// Checksum of the last batch.
    pub last_crc: u32,
}

/// What is known of the segment as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// The content that was indexed.
    pub log: LogIdentity,
    /// Data records, dead ones included.
    pub records: u64,
    /// Batches.
    pub batches: u64,
    /// Batches without a record.
    pub empty_batches: u64,
    /// Batches with a tombstone that is the latest of its key here, and without a delete horizon.
    pub undated_batches: u64,
    /// The earliest delete horizon of a batch with such a tombstone, in milliseconds.
    pub earliest_horizon_ms: Option<i64>,
    /// Largest timestamp of the first batch, in milliseconds; -1 for none.
    pub first_timestamp_ms: i64,
    /// Largest timestamp of all, in milliseconds; -1 for none.
    pub largest_timestamp_ms: i64,
}

/// The header of a key index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIndexHeader {
    /// Base offset of the segment.
    pub base: Offset,
    /// Key of the hash.
    pub hash_key: [u8; 16],
    /// What is known of the segment.
    pub facts: KeyFacts,
    /// Steps of transactions.
    pub events: Extent,
    /// Entries by hash.
    pub entries: Extent,
    /// Notes by offset.
    pub notes: Extent,
}

impl KeyIndexHeader {
    /// The page.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let facts = &self.facts;
        let mut bytes = Vec::with_capacity(PAGE);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&self.hash_key);
        bytes.extend_from_slice(&self.events.salt.to_be_bytes());
        bytes.extend_from_slice(&self.base.raw().to_be_bytes());
        bytes.extend_from_slice(&facts.log.len_bytes.to_be_bytes());
        bytes.extend_from_slice(&facts.log.last_position.to_be_bytes());
        bytes.extend_from_slice(&facts.log.first_crc.to_be_bytes());
        bytes.extend_from_slice(&facts.log.last_crc.to_be_bytes());
        let numbers = [
            self.events.entries,
            self.entries.entries,
            self.notes.entries,
            facts.records,
            facts.batches,
            facts.empty_batches,
            facts.undated_batches,
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let horizon_ms = facts.earliest_horizon_ms.unwrap_or(-1);
        for time_ms in [horizon_ms, facts.first_timestamp_ms, facts.largest_timestamp_ms] {
            bytes.extend_from_slice(&time_ms.to_be_bytes());
        }
        bytes.resize(COVERED, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes.resize(PAGE, 0);
        bytes
    }

    /// Reads the page; `None` if it is not one of this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<KeyIndexHeader> {
        let (covered, rest) = bytes.split_at_checked(COVERED)?;
        let crc = u32::from_be_bytes(*rest.first_chunk()?);
        if covered[..8] != MAGIC || covered[8..10] != VERSION.to_be_bytes() {
            return None;
        }
        if crc32c::crc32c(covered) != crc {
            return None;
        }
        let four = |at: usize| -> [u8; 4] { covered[at..at + 4].try_into().expect("four bytes") };
        let eight = |at: usize| -> [u8; 8] { covered[at..at + 8].try_into().expect("eight bytes") };
        let number = |at: usize| u64::from_be_bytes(eight(at));
        let time_ms = |at: usize| i64::from_be_bytes(eight(at));
        let salt = number(32);
        let run =
            |start: u64, entries: u64, entry_len: usize| Extent { start, entries, entry_len, salt };
        // No file can hold more; a sum of such numbers cannot overflow.
        if [72, 80, 88].into_iter().any(|at| 1 << 40 < number(at)) {
            return None;
        }
        let events = run(PAGE as u64, number(72), TransactionEvent::LEN);
        let entries = run(events.end(), number(80), KeyEntry::LEN);
        let notes = run(entries.end(), number(88), Note::LEN);
        Some(KeyIndexHeader {
            base: Offset::new(time_ms(40))?,
            hash_key: covered[16..32].try_into().expect("sixteen bytes"),
            facts: KeyFacts {
                log: LogIdentity {
                    len_bytes: number(48),
                    last_position: number(56),
                    first_crc: u32::from_be_bytes(four(64)),
                    last_crc: u32::from_be_bytes(four(68)),
                },
                records: number(96),
                batches: number(104),
                empty_batches: number(112),
                undated_batches: number(120),
                earliest_horizon_ms: Some(time_ms(128)).filter(|at| *at != -1),
                first_timestamp_ms: time_ms(136),
                largest_timestamp_ms: time_ms(144),
            },
            events,
            entries,
            notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> KeyIndexHeader {
        let run = |start, entries, entry_len| Extent { start, entries, entry_len, salt: 99 };
        let events = run(PAGE as u64, 3, TransactionEvent::LEN);
        let entries = run(events.end(), 10_000, KeyEntry::LEN);
        KeyIndexHeader {
            base: Offset::ZERO.plus(1000),
            hash_key: *b"0123456789abcdef",
            facts: KeyFacts {
                log: LogIdentity { len_bytes: 5, last_position: 3, first_crc: 1, last_crc: 2 },
                records: 11,
                batches: 12,
                empty_batches: 13,
                undated_batches: 14,
                earliest_horizon_ms: Some(15),
                first_timestamp_ms: 16,
                largest_timestamp_ms: 17,
            },
            events,
            entries,
            notes: run(entries.end(), 7, Note::LEN),
        }
    }

    #[test]
    fn it_is_read_back_and_any_flipped_byte_is_refused() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), PAGE);
        assert_eq!(KeyIndexHeader::decode(&bytes), Some(header()));
        for at in 0..COVERED + 4 {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(KeyIndexHeader::decode(&bad), None, "{at}");
        }
        for len in 0..COVERED + 4 {
            assert_eq!(KeyIndexHeader::decode(&bytes[..len]), None);
        }
    }

    #[test]
    fn the_sections_lie_behind_each_other() {
        let header = header();
        assert_eq!(header.entries.start, 2 * PAGE as u64);
        let per_block = (super::super::BLOCK_BYTES as u64 - 8) / 20;
        let rest = (10_000 % per_block * 20 + 8).div_ceil(4096) * 4096;
        let full = 10_000 / per_block * super::super::BLOCK_BYTES as u64;
        assert_eq!(header.notes.start, header.entries.start + full + rest);
    }
}
