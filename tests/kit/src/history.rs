//! What was acknowledged against what is read back.
//!
//! Each writer chains its records per partition: a record carries the writer, its number and a hash
//! over the number, the padding and the hash before it. A record that is lost, doubled, reordered
//! or altered breaks the chain at a place that can be named.

use std::collections::BTreeMap;
use std::fmt;

/// Writes one chain: the records of one writer to one partition, in order.
#[derive(Debug, Clone)]
pub struct Chain {
    writer: u32,
    number: u64,
    hash: u64,
}

/// Bytes in front of the padding: writer, number, hash.
const HEAD_BYTES: usize = 4 + 8 + 8;

impl Chain {
    /// A chain without records. `writer` is unique among the chains of one partition.
    pub fn new(writer: u32) -> Chain {
        Chain { writer, number: 0, hash: seed(writer) }
    }

    /// The next record of the chain with this padding behind its head; returns its number (from 0)
    /// and its bytes.
    pub fn next_record(&mut self, padding: &[u8]) -> (u64, Vec<u8>) {
        let number = self.number;
        self.number += 1;
        self.hash = link(self.hash, number, padding);
        let mut record = Vec::with_capacity(HEAD_BYTES + padding.len());
        record.extend_from_slice(&self.writer.to_be_bytes());
        record.extend_from_slice(&number.to_be_bytes());
        record.extend_from_slice(&self.hash.to_be_bytes());
        record.extend_from_slice(padding);
        (number, record)
    }
}

fn seed(writer: u32) -> u64 {
    0xcbf2_9ce4_8422_2325 ^ u64::from(writer)
}

/// FNV-1a over the hash before, the number and the padding.
fn link(before: u64, number: u64, padding: &[u8]) -> u64 {
    let start = before ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    padding
        .iter()
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// How a history that was read back differs from what was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// An acknowledged record is not there.
    Lost {
        /// The chain.
        writer: u32,
        /// The first number that is missing although acknowledged.
        number: u64,
    },
    /// A record is there twice, or stands behind a later one.
    Repeated {
        /// The chain.
        writer: u32,
        /// The number that came again.
        number: u64,
    },
    /// A record is missing before one that is there.
    Gap {
        /// The chain.
        writer: u32,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A record's bytes are not what was written.
    Altered {
        /// The chain, as far as it can be read.
        writer: u32,
        /// The number, as far as it can be read.
        number: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Lost { writer, number } => {
                write!(f, "writer {writer}: acknowledged record {number} is lost")
            }
            Violation::Repeated { writer, number } => {
                write!(f, "writer {writer}: record {number} came again")
            }
            Violation::Gap { writer, expected, found } => {
                write!(f, "writer {writer}: record {found} came where {expected} was due")
            }
            Violation::Altered { writer, number } => {
                write!(f, "writer {writer}: record {number} is not what was written")
            }
        }
    }
}

/// What one partition must hold. Records that were sent but never acknowledged may be there or
/// not, at the end of their chain; nothing else is open.
#[derive(Debug, Clone, Default)]
pub struct History {
    acknowledged: BTreeMap<u32, u64>,
    read: BTreeMap<u32, (u64, u64)>,
}

impl History {
    /// Nothing acknowledged.
    pub fn new() -> History {
        History::default()
    }

    /// Notes that record `number` of `writer`, and so every one before it, was acknowledged.
    pub fn acknowledge(&mut self, writer: u32, number: u64) {
        let highest = self.acknowledged.entry(writer).or_insert(number);
        *highest = (*highest).max(number);
    }

    /// How many records were acknowledged in all.
    pub fn acknowledged_records(&self) -> u64 {
        self.acknowledged.values().map(|highest| highest + 1).sum()
    }

    /// Takes the next record read back, in the order of offsets.
    ///
    /// # Errors
    /// When it does not continue its chain.
    pub fn read(&mut self, record: &[u8]) -> Result<(), Violation> {
        let Some((head, padding)) = record.split_at_checked(HEAD_BYTES) else {
            return Err(Violation::Altered { writer: 0, number: 0 });
        };
        let writer = u32::from_be_bytes(head[..4].try_into().expect("four bytes"));
        let number = u64::from_be_bytes(head[4..12].try_into().expect("eight bytes"));
        let hash = u64::from_be_bytes(head[12..].try_into().expect("eight bytes"));
        let (due, before) = self.read.get(&writer).copied().unwrap_or((0, seed(writer)));
        if number < due {
            return Err(Violation::Repeated { writer, number });
        }
        if number > due {
            return Err(Violation::Gap { writer, expected: due, found: number });
        }
        if hash != link(before, number, padding) {
            return Err(Violation::Altered { writer, number });
        }
        self.read.insert(writer, (due + 1, hash));
        Ok(())
    }

    /// After everything was read: is every acknowledged record there?
    ///
    /// # Errors
    /// The first one that is not.
    pub fn finish(&self) -> Result<(), Violation> {
        for (&writer, &highest) in &self.acknowledged {
            let due = self.read.get(&writer).map_or(0, |(due, _)| *due);
            if due <= highest {
                return Err(Violation::Lost { writer, number: due });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(writer: u32, count: usize) -> Vec<Vec<u8>> {
        let mut chain = Chain::new(writer);
        (0..count).map(|place| chain.next_record(&vec![7; place]).1).collect()
    }

    fn check(acknowledged: u64, records: &[Vec<u8>]) -> Result<(), Violation> {
        let mut history = History::new();
        history.acknowledge(1, acknowledged);
        records.iter().try_for_each(|record| history.read(record))?;
        history.finish()
    }

    #[test]
    fn a_whole_chain_is_accepted() {
        assert_eq!(check(4, &records(1, 5)), Ok(()));
    }

    #[test]
    fn unacknowledged_records_at_the_end_may_be_there_or_not() {
        assert_eq!(check(2, &records(1, 5)), Ok(()));
        assert_eq!(check(2, &records(1, 3)), Ok(()));
    }

    #[test]
    fn a_lost_record_is_named() {
        assert_eq!(check(4, &records(1, 4)), Err(Violation::Lost { writer: 1, number: 4 }));
        assert_eq!(check(0, &[]), Err(Violation::Lost { writer: 1, number: 0 }));
    }

    #[test]
    fn a_record_that_comes_again_is_named() {
        let mut all = records(1, 3);
        all.push(all[1].clone());
        assert_eq!(check(2, &all), Err(Violation::Repeated { writer: 1, number: 1 }));
    }

    #[test]
    fn a_hole_is_named() {
        let mut all = records(1, 3);
        all.remove(1);
        let gap = Violation::Gap { writer: 1, expected: 1, found: 2 };
        assert_eq!(check(2, &all), Err(gap));
    }

    #[test]
    fn an_altered_record_is_named() {
        let mut all = records(1, 3);
        *all[2].last_mut().expect("it has padding") ^= 1;
        assert_eq!(check(2, &all), Err(Violation::Altered { writer: 1, number: 2 }));
        assert_eq!(check(0, &[vec![1, 2]]), Err(Violation::Altered { writer: 0, number: 0 }));
    }

    #[test]
    fn chains_of_several_writers_do_not_disturb_each_other() {
        let (one, two) = (records(1, 3), records(2, 3));
        let mixed: Vec<_> =
            one.iter().zip(&two).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        let mut history = History::new();
        history.acknowledge(1, 2);
        history.acknowledge(2, 2);
        assert_eq!(history.acknowledged_records(), 6);
        mixed.iter().try_for_each(|record| history.read(record)).expect("both chains hold");
        assert_eq!(history.finish(), Ok(()));
    }
}
